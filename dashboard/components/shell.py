"""The frame around every page: header, navigation, and the router."""

from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component
from flask import Flask, Response, request

from dashboard import people
from dashboard.components.customer_look_up import create_look_up
from dashboard.components.states import create_failure, create_loading
from dashboard.data.rules import query_values
from dashboard.data.sources import Sources
from dashboard.people import Person
from dashboard.theme import THEME
from include.build import Build
from include.errors import ChurnError

PAGES = {
    "/": "Customers at risk",
    "/score": "Score",
    "/model": "Model",
    "/performance": "Performance",
    "/drift": "Drift",
    "/service": "Service",
}
SIGNS = {
    "/": "☎",
    "/score": "✎",
    "/model": "◔",
    "/performance": "◎",
    "/drift": "▦",
    "/service": "♥",
}
ANY_PATH = "/<path:path>"  # what Dash answers with its frame, whatever it is

CreatePage = Callable[[Sources, Mapping[str, str]], Component]


def create_shell(
    location: dcc.Location, page: Component, build: Build, *, signed_in: bool
) -> Component:
    """The frame around a page; `signed_in` where there is something to sign out of."""
    frame = dmc.AppShell(
        [
            create_header(signed_in=signed_in),
            create_navigation(),
            dmc.AppShellMain(
                [html.Div(page, id="page", tabIndex=-1), create_foot(build)],
                id="main",
                className="main",
            ),
        ],
        id="frame",
        header={"height": 56},
        navbar={"width": 220, "breakpoint": "sm", "collapsed": {"mobile": True}},
        padding="md",
    )
    return dmc.MantineProvider(
        [
            location,
            html.A("Skip to the content", href="#page", className="skip-link"),
            frame,
        ],
        theme=THEME,
        defaultColorScheme="auto",
    )


def create_header(*, signed_in: bool) -> Component:
    """Name, menu button on a phone, a customer by number, light or dark, and the way out."""
    burger = dmc.Burger(
        id="burger", opened=False, hiddenFrom="sm", size="sm", **{"aria-label": "Menu"}
    )
    scheme = dmc.ColorSchemeToggle(
        id="scheme",
        lightIcon=html.Span("☀", **{"aria-hidden": "true"}),
        darkIcon=html.Span("☾", **{"aria-hidden": "true"}),
        variant="subtle",
        size="lg",
        **{"aria-label": "Light or dark"},
    )
    sign_out = html.Form(
        html.Button("Sign out", type="submit", className="plain-button"),
        method="post",
        action="/sign-out",
    )
    left = dmc.Group(
        [burger, html.A("Churn", href="/", className="brand"), create_look_up()],
        gap="sm",
        wrap="nowrap",
        className="header-left",
    )
    way_out = [_create_who(people.present()), sign_out] if signed_in else []
    right = dmc.Group([scheme, *way_out], gap="xs", wrap="nowrap")
    return dmc.AppShellHeader(
        dmc.Group([left, right], justify="space-between", h="100%", px="md", wrap="nowrap")
    )


def _create_who(person: Person) -> Component | None:
    """Who is signed in, where people have names; a phone has no room for it."""
    if not person.name:
        return None
    told = f"{person.name} ({person.role})"
    return dmc.Text(told, id="who", size="sm", c="dimmed", truncate=True, maw=320, visibleFrom="sm")


def create_navigation() -> Component:
    """The pages; the present one is marked by the router."""
    links = [
        dmc.NavLink(
            id={"type": "nav", "path": path},
            label=name,
            href=path,
            leftSection=html.Span(SIGNS[path], className="sign", **{"aria-hidden": "true"}),
        )
        for path, name in PAGES.items()
    ]
    return dmc.AppShellNavbar(html.Nav(links, **{"aria-label": "Pages"}), p="xs")


def create_foot(build: Build) -> Component:
    """Which build runs, for whoever reports a fault."""
    told = f"Churn {build.version}, commit {build.short_commit}"
    return html.Footer(told, className="foot", title=build.commit)


def create_heading(title: str, subtitle: Any = None) -> Component:
    """A page's title and the sentence under it."""
    parts: list[Any] = [dmc.Title(title, order=1, size="h2")]
    if subtitle:
        parts.append(dmc.Text(subtitle, c="dimmed", size="sm"))
    return dmc.Stack(parts, gap=2, mb="md")


def create_section(title: str, content: Any) -> Component:
    """A part of a page under its own title."""
    return html.Section([dmc.Title(title, order=2, size="h3", mt="xl", mb="sm"), content])


def register(
    app: Dash, pages: Mapping[str, CreatePage], sources: Sources, build: Build, *, signed_in: bool
) -> None:
    """Show the page that the URL names: the first one with the frame, later ones alone."""

    def page_at(path: str | None, search: str | None) -> Component:
        create_page = pages.get(wanted := _page_path(path))
        if create_page is None:
            return create_heading("There is no such page", "Choose one from the menu.")
        try:
            return create_page(sources, query_values(search))
        except ChurnError as error:
            return html.Div([create_heading(PAGES.get(wanted, "Customer")), create_failure(error)])

    def create_layout() -> Component:
        asked = _asked_for()
        location = dcc.Location(id="url", refresh="callback-nav", **asked)
        page = page_at(asked["pathname"], asked["search"]) if asked else create_loading()
        return create_shell(location, page, build, signed_in=signed_in)

    app.layout = create_layout
    answer_unknown_pages(app.server, pages)

    # Not called at first where the location is known already: the layout brings that page along.
    @app.callback(
        Output("page", "children"),
        Input("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def show_page(path: str | None, search: str | None) -> Component:
        return page_at(path, search)

    app.clientside_callback(
        ClientsideFunction("churn", "markPage"),
        Output("frame", "navbar"),
        Output("burger", "opened"),
        Input("url", "pathname"),
        Input("burger", "opened"),
        State("frame", "navbar"),
    )


def answer_unknown_pages(server: Flask, known: Collection[str]) -> None:
    """Give every path that is no page the status 404, with the frame that leads to the pages."""

    @server.after_request
    def _set_status(answer: Response) -> Response:
        rule = request.url_rule
        everything_else = rule is not None and rule.rule == ANY_PATH
        if everything_else and answer.status_code == 200 and _page_path(request.path) not in known:
            answer.status_code = 404
        return answer


def _page_path(path: str | None) -> str:
    return (path or "/").rstrip("/") or "/"


def _asked_for() -> dict[str, str]:
    """Which page asks for its layout, where the browser says so; {} where it does not.

    Who knows it can send page and frame together: one question less until the first rows are there.
    """
    try:
        split = urlsplit(request.referrer or "")
    except ValueError:  # no address at all
        return {}
    if split.netloc != request.host:
        return {}
    return {"pathname": split.path, "search": f"?{split.query}" if split.query else ""}
