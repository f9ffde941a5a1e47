"""Everything that the pages read from, opened once for a process."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from dashboard.data.api_client import ChurnApi
from dashboard.data.call_list import CallList
from dashboard.data.champions import Champion, ReferenceReader, TypicalValue, read_champion
from dashboard.data.list_view import ListView
from dashboard.data.nights import Nights
from dashboard.data.targets import Targets
from include.champion.history import HistoryReader
from include.contract import Contract, load_contract
from include.customers.database import open_engine
from include.errors import ChurnError
from include.params import CampaignRules, HistoryRules, load_params
from include.settings import Settings
from include.store import Store, open_store

# Somebody waits in front of the page, and others for its thread.
ANSWER_SECONDS = 15  # between two packets of the database's
STORE_PATIENCE: dict[str, Any] = {"connect_timeout": 2, "read_timeout": 5, "attempts": 2}


@dataclass(frozen=True)
class Sources:
    """The database, the store and the API, with what is kept in memory of them."""

    settings: Settings
    engine: sa.Engine
    store: Store
    api: ChurnApi
    nights: Nights
    references: ReferenceReader
    history: HistoryReader
    targets: Targets
    contract: Contract

    def calls(self, view: ListView) -> CallList:
        """The call list as somebody looks at it; signs and dates count only if its night warns.

        ChurnError where a sign or date is asked for, and what the night predicts cannot be read.
        """
        night = self.nights.latest() if view.flagged_only else None
        if night and not self.targets.read(night.model_version).is_early_warning:
            view = replace(view, sign=None, due=None)  # nobody has one, and the page hides both
        return CallList(self.engine, view, self.nights.table())

    def champion(self) -> Champion | None:
        """The version in production, by the store's pointer."""
        return read_champion(self.store)

    def serving_contract(self) -> Contract:
        """What a record must have by the champion's contract; by the present one without any."""
        champion = self._readable_champion()
        return champion.manifest.contract.of_records if champion else self.contract

    def contract_and_typical(self) -> tuple[Contract, Mapping[str, TypicalValue]]:
        """The same with typical values by column, none where no reference can be read."""
        champion = self._readable_champion()
        if champion is None:
            return self.contract, {}
        try:
            typical = self.references.summary(champion.manifest).typical
        except ChurnError:
            typical = {}
        return champion.manifest.contract, typical

    def campaign_rules(self) -> CampaignRules:
        """How campaigns are judged, by params.yaml as it is now."""
        return load_params(self.settings.params_file).campaigns

    def history_rules(self) -> HistoryRules:
        """Which snapshots count, by params.yaml as it is now."""
        return load_params(self.settings.params_file).history

    def close(self) -> None:
        """Close every connection."""
        self.api.close()
        self.engine.dispose()

    def _readable_champion(self) -> Champion | None:
        try:
            return self.champion()
        except ChurnError:
            return None


def open_sources(settings: Settings) -> Sources:
    """Open everything; nothing is read yet, so the dashboard starts whatever is down."""
    engine = open_engine(settings.resolved_database_url, answer_seconds=ANSWER_SECONDS)
    store = open_store(settings.resolved_store_uri, **STORE_PATIENCE)
    return Sources(
        settings=settings,
        engine=engine,
        store=store,
        api=ChurnApi(settings),
        nights=Nights(engine),
        references=ReferenceReader(store),
        history=HistoryReader(store),
        targets=Targets(store),
        contract=load_contract(),
    )
