/* The part of the callbacks that runs in the browser: page state, the grid's needs, the URL. */
(function () {
  "use strict";
  const none = () => window.dash_clientside.no_update;
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const text = (value, divide) => (value === null || value === undefined || value === "" ? null
    : String(divide ? Number(value) / divide : value));
  const sortText = (model) => (model || []).map((s) => s.colId + ":" + s.sort).join(",");
  const withoutEmpty = (values) => Object.fromEntries(
    Object.entries(values).filter(([, v]) => v !== null && v !== undefined && v !== ""));

  const churn = {
    markPage(path, opened, navbar) {
      const wanted = (path || "/").replace(/\/+$/, "") || "/";
      const customer = new URLSearchParams(window.location.search).get("number") || "";
      let title = wanted === "/customer" ? "Customer " + customer : "No such page";
      document.querySelectorAll("nav a").forEach((link) => {
        const here = new URL(link.href).pathname === wanted;
        link.toggleAttribute("data-active", here);
        if (here) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
        if (here) title = link.textContent.replace(/^\W+/, "");
      });
      document.title = title.trim() + " – Churn";
      const byBurger = (window.dash_clientside.callback_context.triggered_id === "burger");
      const open = byBurger ? opened : false;
      document.getElementById("burger").setAttribute("aria-expanded", open);
      return [{ ...navbar, collapsed: { mobile: !open } }, open];
    },

    collectView(bands, status, left, view, rose, sign, due, years, success, cost, budget, control, before) {
      const found = withoutEmpty({
        bands: (bands || []).join(","), status: status === "open" ? null : status,
        left: left ? "1" : null, view: view === "campaign" ? "campaign" : null,
        rose: rose === "any" ? null : rose, sign: sign === "any" ? null : sign,
        due: due === "any" ? null : due, years: text(years),
        success: text(success, 100), cost: text(cost), budget: text(budget),
        control: text(control, 100),
      });
      return same(found, before) ? none() : found;
    },

    composeQuery(view, request, customer, before, crm) {
      const query = { ...(view || {}) };
      if (request) {
        const sort = sortText(request.sortModel);
        const usual = (query.rose ? "rise_" + query.rose : "call_value") + ":desc";
        if (sort && sort !== usual) query.sort = sort; else delete query.sort;
        const filters = request.filterModel || {};
        if (Object.keys(filters).length) query.filters = JSON.stringify(filters);
        else delete query.filters;
      }
      const listed = { ...query };
      delete listed.customer;
      delete query.customer;
      if (customer !== null && customer !== undefined) query.customer = String(customer);
      const search = new URLSearchParams(query).toString();
      window.history.replaceState(window.history.state, "", window.location.pathname + (search ? "?" + search : ""));
      const wanted = "?" + new URLSearchParams(listed).toString();
      return [same(listed, before) ? none() : listed, "/campaign.csv" + wanted, crm.split("?")[0] + wanted];
    },

    /* Whose risk rose is a question of how far: the column comes beside the risk, the largest first. */
    sortByRise(rose) {
      const column = rose === "any" ? "call_value" : "rise_" + rose;
      if (window.dash_ag_grid) {
        window.dash_ag_grid.getApiAsync("risk-grid").then((api) => {
          const risk = api.getAllGridColumns().findIndex((each) => each.getColId() === "risk");
          if (rose !== "any") api.moveColumns([column], risk + 1);
          api.applyColumnState({ state: [{ colId: column, sort: "desc" }], defaultState: { sort: null } });
        });
      }
    },

    /* On a phone: whom, how likely, and what a call is worth, side by side. */
    fitPhone(_id, columns) {
      if (!window.matchMedia("(max-width: 48em)").matches) return none();
      const widths = { customer: 116, risk: 78, call_value: 112, rise_night: 100, rise_week: 100 };
      return columns.map((column) => (widths[column.field] ? {
        ...column, width: widths[column.field], minWidth: 80, suppressHeaderFilterButton: true,
        headerName: { risk: "Risk", rise_night: "Since", rise_week: "Since" }[column.field] || column.headerName,
      } : column));
    },

    /* The page brought its first rows along; every later question goes to the server. */
    answerFirst(request, first) {
      const asked = first && first.request;
      if (asked && request && request.startRow === asked.startRow
        && sortText(request.sortModel) === sortText(asked.sortModel)
        && same(request.filterModel || {}, asked.filterModel)) return [first.response, null, none()];
      return [none(), null, request];
    },

    refreshGrid() {
      if (window.dash_ag_grid && document.getElementById("risk-grid")) {
        const marked = window.dash_clientside.callback_context.triggered_id === "marked";
        window.dash_ag_grid.getApiAsync("risk-grid").then((api) => {
          if (marked) api.deselectAll();  // who was marked is mostly off the list
          api.purgeInfiniteCache();
        });
      }
    },

    countSelected(rows) {
      const count = (rows || []).length;
      const told = count === 0 ? "Select customers to mark them"
        : count + (count === 1 ? " customer selected:" : " customers selected:");
      return [told, ...Array(6).fill(count === 0)];
    },

    openCustomer(clicked, event) {
      const by = window.dash_clientside.callback_context.triggered[0];
      if (!by) return none();
      if (by.prop_id.endsWith("eventData")) return event && event.data ? event.data.customer : none();
      if (!clicked || clicked.colId === "ag-Grid-SelectionColumn" || clicked.rowId === undefined) return none();
      return Number(clicked.rowId);
    },

    openDrawer(customer, opened) {
      if (customer === null || customer === undefined) {
        return [opened ? false : none(), none(), none(), none()];
      }
      return [true, "Customer " + customer, {
        namespace: "dash_html_components", type: "Div",
        props: { children: "Reading the customer…", className: "drawer-wait", role: "status" },
      }, customer];
    },

    closeDrawer(opened, customer) {
      return opened || customer === null || customer === undefined ? none() : null;
    },

    linkBudget(number, slider) {
      const by = window.dash_clientside.callback_context.triggered_id;
      if (by === "rule-budget-slider") return [slider, none()];
      return [none(), Math.min(Number(number) || 0, 20000)];
    },

    /* One part after the other: the answer to one is what asks for the next. */
    nextPart(progress, current) {
      if (!progress) return;
      if (!current || progress.token !== current.token) {  // another file has come since
        window.dash_clientside.set_props("upload-progress", { children: "" });
      } else if (!progress.fault && progress.done < progress.total) {
        window.dash_clientside.set_props("upload-step", { data: progress });
      }
    },

    /* A page whose whole state is one small object keeps it in the URL. */
    keepQuery(state) {
      const query = new URLSearchParams(window.location.search);
      Object.entries(state || {}).forEach(([name, value]) => query.set(name, value));
      window.history.replaceState(window.history.state, "", window.location.pathname + "?" + query);
    },

    /* On a phone the button is far below the first field. */
    showFault() {
      setTimeout(() => {
        const field = document.querySelector("#page [aria-invalid=true]");
        if (!field) return;
        field.focus({ preventScroll: true });
        field.scrollIntoView({ block: "center" });
      });
    },

    chooseCell(cell) {
      if (!cell) return;
      const id = JSON.stringify({ day: cell.day, feature: cell.feature, type: "drift-cell" });
      document.querySelectorAll(".heat .chosen").forEach((each) => each.classList.remove("chosen"));
      const button = document.getElementById(id);
      if (button) button.classList.add("chosen");
      churn.keepQuery(cell);
    },

    showReport(day) {
      window.dash_clientside.set_props("report-frame", { src: "/drift/report/" + day });
      window.dash_clientside.set_props("report-link", { href: "/drift/report/" + day });
      churn.keepQuery({ report: day });
    },

    keepScoreQuery(record, tab) {
      const query = new URLSearchParams(
        tab === "file" ? { tab: "file" } : record || window.location.search);
      if (tab !== "file") query.delete("tab");  // a link's values stay until something is scored
      const search = query.toString();
      window.history.replaceState(window.history.state, "", window.location.pathname + (search ? "?" + search : ""));
    },
  };
  window.dash_clientside = Object.assign({}, window.dash_clientside, { churn });

  /* The upload as somebody hands it a file: what the last one left goes, and a file over the limit
     goes no further, for Dash would read the whole of it. */
  const beginUpload = (event) => {
    const room = event.target.closest && event.target.closest("#upload");
    const [file] = (room && (event.dataTransfer || event.target).files) || [];
    if (!file) return;
    const most = Number(room.querySelector("[data-bytes-max]").dataset.bytesMax);
    const numbers = [file.size, most].map((bytes) => bytes.toLocaleString("en-US"));
    let told = "";
    if (file.size > most) {
      event.preventDefault();
      event.stopImmediatePropagation();
      told = { namespace: "dash_mantine_components", type: "Alert", props: {
        children: `${file.name} has ${numbers[0]} bytes, at most ${numbers[1]} are read: split it.`,
        color: "orange", variant: "light",
      } };
    }
    Object.entries({ "upload-preview": { children: told }, "upload-state": { data: null },
      "upload-progress": { children: "" } }).forEach(([id, props]) => window.dash_clientside.set_props(id, props));
    // Or the same file, chosen again, would be no change.
    if (event.type === "change") setTimeout(() => { event.target.value = ""; });
  };
  document.addEventListener("change", beginUpload, true);
  document.addEventListener("drop", beginUpload, true);

  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && document.querySelector("#burger[aria-expanded=true]");
    if (menu) { menu.click(); menu.focus(); }
  });

  /* Where the session has ended, the page does so too. */
  const ask = window.fetch;
  window.fetch = (...given) => ask(...given).then((answer) => {
    if (answer.status !== 401) return answer;
    window.location.reload();
    return new Promise(() => {});  // nobody waits for what the page that goes asked for
  });

  /* The upload's own input has no name that a screen reader could say. */
  new MutationObserver(() => {
    const input = document.querySelector("#upload input[type=file]:not([aria-label])");
    if (input) input.setAttribute("aria-label", "CSV file of customers");
  }).observe(document.documentElement, { childList: true, subtree: true });

  /* What AG Grid calls by name. */
  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  functions.churnMoney = function (value) {
    if (value === null || value === undefined) return "";
    const sign = value <= -0.5 ? "−" : "";
    return sign + "$" + Math.abs(value).toLocaleString("en-US", { maximumFractionDigits: 0 });
  };
  functions.churnDay = function (value) {
    if (!value) return "";
    const [year, month, day] = value.split("-");
    return day + " " + "JanFebMarAprMayJunJulAugSepOctNovDec".substr(3 * month - 3, 3) + " " + year;
  };
  functions.churnPoints = function (value) {
    if (value === null || value === undefined) return "";
    return (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(1);
  };
  functions.churnOpenOnEnter = function (params, setEventData) {
    if (params.event.key === "Enter" && params.data) setEventData({ customer: params.data.customer, at: Date.now() });
  };
  const components = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  components.ChurnRisk = function (props) {
    if (!props.data) return null;
    const element = window.React.createElement;
    const risk = props.data.risk;
    return element("div", { className: "risk-cell" },
      element("span", { className: "risk-number" }, risk.toFixed(1) + "%"),
      element("span", { className: "risk-room", "aria-hidden": true },
        element("span", { className: "risk-bar band-" + props.data.band, style: { width: risk + "%" } })),
      element("span", { className: "risk-band" }, props.data.band));
  };
})();
