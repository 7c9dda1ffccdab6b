// Tables: sorted by their heads, walked with the keys, and drawn only where they are seen,
// so that fifty thousand rows cost no more than fifty.

/** Rows drawn above and below what is seen. */
const OVERSCAN = 10;
/** Most rows on paper. */
const PRINTED = 500;

const withinText = (value) => (value === Infinity ? "too few" : `±${countText(value)}`);

const SHOW = {
  text: (value) => value,
  count: countText,
  margin: (value) => (DATA.window.sampled ? withinText(value) : `+${countText(value)}`),
  within: withinText,
  rate: rateText,
  time: timeText,
  share: shareText,
};

/** Least widths of columns, in rem; text takes what is left over. */
const WIDTHS = { id: 3.4, main: 15, text: 11, count: 5.6, margin: 5.6, within: 5.6, rate: 5.6, time: 5.6, share: 5.6 };

function widthOf({ id, kind }) {
  if (id === "id") return "id";
  return ["map", "key", "lock", "place"].includes(id) ? "main" : kind;
}

function cellText(column, row) {
  const value = column.of(row);
  return value === undefined ? "" : SHOW[column.kind](value);
}

/** Most first for figures, A to Z for text; what is absent comes last even when inverted. */
function ordered(rows, column, inverted) {
  const sign = (column.kind === "text" ? 1 : -1) * (inverted ? -1 : 1);
  const valued = rows.map((row) => ({ row, value: column.of(row) }));
  valued.sort((a, b) => {
    if (a.value === b.value) return 0;
    if (a.value === undefined) return 1;
    if (b.value === undefined) return -1;
    return a.value < b.value ? -sign : sign;
  });
  return valued.map(({ row }) => row);
}

class Table {
  /** `columns`: `{ id, title, kind, of, help }`; `sort`: the id of a column. */
  constructor({ name, rows, columns, sort, open, limit }) {
    this.name = name;
    this.all = rows;
    this.columns = columns.filter((column) =>
      rows.length === 0 || rows.some((row) => column.of(row) !== undefined));
    this.allColumns = columns;
    this.sort = sort;
    this.inverted = false;
    this.open = open;
    this.limit = limit;
    this.active = 0;
    this.rowHeight = 0;
    this.build();
    this.arrange();
  }

  build() {
    this.above = el("tbody", { "aria-hidden": "true" }, el("tr", {}, el("td")));
    this.below = el("tbody", { "aria-hidden": "true" }, el("tr", {}, el("td")));
    this.body = el("tbody");
    this.heads = this.columns.map((column) => this.head(column));
    this.table = el("table", {
      role: "grid", tabindex: 0, "aria-label": this.name, onkeydown: (event) => this.key(event),
    },
    el("colgroup", {}, this.columns.map((column) => el("col", { class: `col-${widthOf(column)}` }))),
    el("thead", {}, el("tr", {}, this.heads)), this.above, this.body, this.below);
    this.table.style.minWidth = `${this.columns.reduce((sum, column) => sum + WIDTHS[widthOf(column)], 0)}rem`;
    this.node = el("div", { class: "scroll", onscroll: () => this.draw() }, this.table);
    this.body.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  head(column) {
    const button = el("button", {
      type: "button", title: column.help, onclick: () => this.sortBy(column.id),
    }, column.title);
    return el("th", { scope: "col", class: column.kind, "data-column": column.id }, button);
  }

  sortBy(id) {
    this.inverted = this.sort === id && !this.inverted;
    this.sort = id;
    this.arrange();
    this.node.scrollTop = 0;
    this.draw();
  }

  /** Shows what the filter lets through; returns what it says of itself. */
  filter(filter) {
    this.wanted = filter;
    this.arrange();
    this.node.scrollTop = 0;
    this.draw();
    return { shown: this.rows.length, all: this.all.length, missing: this.missing };
  }

  arrange() {
    const { test, missing } = filterTest(this.wanted ?? { text: "" }, this.allColumns);
    this.missing = missing;
    const column = this.columns.find(({ id }) => id === this.sort) ?? this.columns[0];
    this.rows = ordered(this.all.filter(test), column, this.inverted);
    if (this.limit) this.rows = this.rows.slice(0, this.limit);
    this.active = 0;
    this.drawn = undefined;
    this.table.setAttribute("aria-rowcount", this.rows.length + 1);
    const down = (column.kind === "text") === this.inverted;
    this.columns.forEach(({ id }, at) => {
      const sorted = id !== column.id ? "none" : down ? "descending" : "ascending";
      this.heads[at].setAttribute("aria-sort", sorted);
    });
  }

  /** Draws the rows that are seen, unless they are drawn already. */
  draw(printed) {
    const height = this.rowHeight || 26;
    const first = printed ? 0 : Math.max(0, Math.floor(this.node.scrollTop / height) - OVERSCAN);
    const seen = Math.ceil((this.node.clientHeight || 600) / height) + 2 * OVERSCAN;
    const last = Math.min(this.rows.length, first + (printed ? PRINTED : seen));
    const drawn = `${first} ${last} ${this.active}`;
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    replace(this.body, this.rows.slice(first, last).map((row, at) => this.row(row, first + at)));
    if (this.rows.length === 0) this.body.append(this.nothing());
    this.above.rows[0].style.height = `${first * height}px`;
    this.below.rows[0].style.height = `${printed ? 0 : (this.rows.length - last) * height}px`;
    if (this.rows.length > 0) this.table.setAttribute("aria-activedescendant", this.rowId(this.active));
    this.measure();
  }

  /** Rows are all of one height, which is known once one is drawn. */
  measure() {
    const height = this.body.rows[0]?.getBoundingClientRect().height;
    if (this.rowHeight || !height) return;
    this.rowHeight = height;
    this.drawn = undefined;
    this.draw();
  }

  nothing() {
    const why = this.all.length === 0 ? "Nothing was seen." : "Nothing is found.";
    return el("tr", {}, el("td", { colspan: this.columns.length, class: "nothing" }, why));
  }

  rowId(at) {
    return `${this.name.replaceAll(/\W/g, "-")}-${at}`;
  }

  row(row, at) {
    const leading = this.leading(row);
    const cells = this.columns.map((column) => {
      const text = cellText(column, row);
      const content = column.kind === "text" ? foreign(text) : text;
      const linked = column === leading && row.href
        ? el("a", { href: row.href, tabindex: -1 }, content) : content;
      return el("td", { class: column.kind, title: column.kind === "text" ? text : undefined }, linked);
    });
    const opened = row.href && row.href === location.hash;
    return el("tr", {
      role: "row", id: this.rowId(at), "aria-rowindex": at + 2, "data-at": at,
      "aria-selected": opened ? "true" : undefined,
      class: at === this.active ? "active" : undefined,
    }, cells);
  }

  /** The column whose text leads to the row's details: the first one that is no id. */
  leading(row) {
    return this.columns.find((column) => column.kind === "text" && column.id !== "id" && column.of(row));
  }

  click(event) {
    const row = event.target.closest("tr[data-at]");
    if (!row || event.target.closest("a")) return;
    this.active = Number(row.dataset.at);
    this.draw();
    this.openActive();
  }

  openActive() {
    const row = this.rows[this.active];
    if (row && this.open) this.open(row);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.node.clientHeight / (this.rowHeight || 26)) - 2);
    const moves = {
      ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity,
    };
    if (event.target !== this.table) return;
    if (event.key === "Enter") this.openActive();
    else if (event.key in moves) this.move(this.active + moves[event.key]);
    else return;
    event.preventDefault();
  }

  move(to) {
    this.active = Math.max(0, Math.min(this.rows.length - 1, to));
    const height = this.rowHeight || 26;
    const head = this.table.tHead.offsetHeight;
    const [top, bottom] = [this.active * height, (this.active + 1) * height];
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    const seen = this.node.clientHeight - head;
    if (bottom > this.node.scrollTop + seen) this.node.scrollTop = bottom - seen;
    this.draw();
  }

  /** Draws anew, since another row is opened. */
  refresh() {
    this.drawn = undefined;
    this.draw();
  }
}

