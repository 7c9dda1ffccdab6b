// The page: which view is shown, what is opened beside it, and what is searched for.
//
// The address says it all: `#locks/l1` is the table of locks with `l1` opened.

function go(row) {
  if (row.href) location.hash = row.href;
}

function tableView(name, rows, columns, sort) {
  return new Table({ name, rows, columns, sort, open: go });
}

/**
 * The id of the map whose keys are listed; undefined for those of all maps. A key is opened
 * beside the list that it is opened from.
 */
function keysOf([id, at]) {
  if (at === undefined) PAGE.keysOf = id;
  else if (PAGE.keysOf !== id) PAGE.keysOf = undefined;
  return PAGE.keysOf;
}

/** Keys of one map, or of all. */
function keysView() {
  const map = MAPS.get(PAGE.keysOf);
  if (!map) return tableView("Keys", KEYS, KEY_COLUMNS, "ops");
  const columns = KEY_COLUMNS.filter((column) => column.id !== "map" && column.id !== "id");
  const table = tableView("Keys", map.keys, columns, "ops");
  return withNote(table, el("p", { class: "choices" }, "of ", el("a", { href: map.href }, foreign(`${map.id} ${map.name}`)),
    " ", el("a", { href: "#keys" }, "all maps")));
}

function timelineView() {
  const table = tableView("Timeline", DATA.steps, STEP_COLUMNS, "at");
  table.inverted = true;
  table.arrange();
  return DATA.steps.length > 0 ? withNote(table, new Timeline(go).node) : table;
}

/** A table with something above it. */
function withNote(table, note) {
  return {
    node: el("div", { class: "noted" }, note, table.node),
    table,
    filter: (filter) => table.filter(filter),
    draw: (printed) => table.draw(printed),
    refresh: () => table.refresh(),
  };
}

/** Title, number of rows, the view, and what it depends on in the address. */
const VIEWS = {
  overview: { title: "Overview", make: () => new Overview(go) },
  maps: { title: "Maps", rows: DATA.maps, make: () => tableView("Maps", DATA.maps, MAP_COLUMNS, "ops") },
  keys: { title: "Keys", rows: KEYS, make: keysView, variant: keysOf },
  locks: { title: "Locks", rows: DATA.locks, make: () => tableView("Locks", DATA.locks, LOCK_COLUMNS, "wait") },
  sites: { title: "Call sites", rows: SITES, make: () => tableView("Call sites", SITES, SITE_COLUMNS, "ops") },
  contention: { title: "Contention", rows: PAIRS, make: () => tableView("Contention", PAIRS, PAIR_COLUMNS, "wait") },
  timeline: { title: "Timeline", rows: DATA.steps, make: timelineView },
  flame: { title: "Flame graph", make: ([by, of]) => new FlameView(by, of), variant: (path) => path.join("/") },
};

/** Views are made when first shown, and kept as they were left. */
const PAGE = { made: new Map(), filter: { text: "" }, view: undefined };

function route() {
  const [name, ...path] = location.hash.slice(1).split("/");
  return name in VIEWS ? { name, path } : { name: "overview", path: [] };
}

function viewOf({ name, path }) {
  const { make, variant } = VIEWS[name];
  const id = `${name}/${variant ? variant(path) ?? "" : ""}`;
  if (!PAGE.made.has(id)) PAGE.made.set(id, make(path));
  return PAGE.made.get(id);
}

function show() {
  const at = route();
  const view = viewOf(at);
  if (PAGE.view !== view) {
    PAGE.view = view;
    replace(byId("main"), el("h2", {}, VIEWS[at.name].title), view.node);
    byId("main").dataset.view = at.name;
  }
  document.querySelectorAll("#nav a").forEach((link) => {
    if (link.hash === `#${at.name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
  showDetail(at);
  search();
  view.refresh?.();
}

function showDetail({ name, path }) {
  const found = ABOUT[name]?.(path);
  const panel = byId("detail");
  panel.hidden = !found;
  byId("body").classList.toggle("opened", Boolean(found));
  if (!found) return replace(panel);
  const back = name === "keys" && PAGE.keysOf ? `#keys/${PAGE.keysOf}` : `#${name}`;
  replace(panel, el("a", { class: "close", href: back, "aria-label": "Close the details" }, "×"),
    el("h2", {}, foreign(found.title)), found.content);
  panel.scrollTop = 0;
  return panel;
}

/** Applies what is searched for to the view, unless it has been already. */
function search() {
  const { view, filter } = PAGE;
  if (view.searched === filter) return;
  view.searched = filter;
  const found = view.filter(filter);
  replace(byId("found"), foundText(filter, found));
}

function foundText(filter, found) {
  if (found.missing !== undefined) return `There is no column ${found.missing} here.`;
  if (found.message) return found.message;
  if (found.all === undefined || (!filter.terms && !filter.text)) return "";
  return `${countText(found.shown)} of ${countText(found.all)} rows`;
}

function startNav() {
  append(byId("nav"), Object.entries(VIEWS).map(([name, { title, rows }]) =>
    el("a", { href: `#${name}` }, title, rows ? el("span", { class: "many" }, ` ${countText(rows.length)}`) : "")));
}

function startSearch() {
  byId("search").addEventListener("input", (event) => {
    PAGE.filter = parseFilter(event.target.value);
    search();
  });
}

function startKeys() {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      byId("search").focus();
    } else if (event.key === "Escape" && !byId("detail").hidden && !typing) {
      location.hash = byId("detail").querySelector(".close").hash;
      document.querySelector("#main table, #main .flame")?.focus();
    }
  });
}

function startPrint() {
  addEventListener("beforeprint", () => PAGE.view.draw?.(true));
  addEventListener("afterprint", () => PAGE.view.refresh?.());
}

function start() {
  const { target, window: whole } = DATA;
  const began = new Date(whole.start_unix_ms).toISOString().replace("T", " ").slice(0, 19);
  replace(byId("about"), foreign(target.exe, { class: "exe" }), ` · pid ${target.pid}`,
    target.runtimes.length > 0 ? [" · ", foreign(target.runtimes.join(", "))] : "",
    ` · ${began} UTC · ${timeText(whole.duration_ns)}`);
  startTheme();
  startNav();
  startSearch();
  startKeys();
  startPrint();
  addEventListener("hashchange", show);
  show();
}

start();
