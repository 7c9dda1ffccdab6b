// The flame graph: the wider, the more. Clicked or walked with the keys.

const FRAME_HIGH = 20;
/** Narrower frames are not drawn, as a part of the whole. */
const NARROWEST = 0.0005;

class FlameGraph {
  constructor(by, of) {
    this.weights = WEIGHTS[by];
    this.root = flameTree(by, of);
    this.searched = "";
    this.told = el("p", { class: "told", "aria-live": "polite" });
    this.graph = el("div", {
      class: "flame", role: "tree", "aria-label": `Flame graph: ${this.weights.of}`,
      onclick: (event) => this.click(event), onkeydown: (event) => this.key(event),
      onpointerover: (event) => this.tell(this.nodeOf(event.target)),
    });
    this.reset = el("button", { type: "button", id: "flame-reset", onclick: () => this.zoom(this.root) }, "Reset zoom");
    this.node = el("div", {}, el("p", {}, this.reset, " Enter or a click zooms, Escape leads back, arrows walk."),
      this.graph, this.told);
    if (this.root) this.zoom(this.root);
    else replace(this.node, el("p", { class: "nothing" }, this.weights.none));
  }

  /** Fills the width with a node; those it was called from stay above it. */
  zoom(node) {
    this.zoomed = node;
    this.focused = node;
    this.reset.disabled = node === this.root;
    this.draw();
  }

  draw() {
    this.nodes = [];
    this.deepest = 0;
    const path = [];
    for (let at = this.zoomed; at; at = at.parent) path.unshift(at);
    path.slice(0, -1).forEach((node) => this.place(node, 0, 1, true));
    this.walk(this.zoomed);
    this.graph.style.height = `${(this.deepest + 1) * FRAME_HIGH}px`;
    replace(this.graph, this.nodes.map(({ node, left, width, above }, at) => this.frame(node, left, width, above, at)));
    this.tell(this.focused);
  }

  walk(node) {
    const left = (node.left - this.zoomed.left) / this.zoomed.weight;
    const width = node.weight / this.zoomed.weight;
    if (width < NARROWEST) return;
    this.place(node, left, width, false);
    node.children.forEach((child) => this.walk(child));
  }

  place(node, left, width, above) {
    this.nodes.push({ node, left, width, above });
    this.deepest = Math.max(this.deepest, node.depth);
  }

  frame(node, left, width, above, at) {
    const found = this.searched && node.frame && this.matches(node);
    const classes = ["frame", above && "above", found && "found", node.frame?.runtime && "runtime"];
    const drawn = el("div", {
      class: classes.filter(Boolean).join(" "), role: "treeitem", "data-node": at,
      tabindex: node === this.focused ? 0 : -1, "aria-level": node.depth + 1,
      "aria-selected": node === this.zoomed ? "true" : "false",
      "aria-label": this.describe(node), title: this.describe(node),
      onfocus: () => this.focusOn(node),
    }, width > 0.01 ? foreign(flameName(node)) : "");
    drawn.style.left = `${left * 100}%`;
    drawn.style.width = `${width * 100}%`;
    drawn.style.top = `${node.depth * FRAME_HIGH}px`;
    drawn.style.setProperty("--hue", flameHue(node));
    return drawn;
  }

  matches(node) {
    const { name, full, file } = node.frame;
    return [name, full, file].some((text) => text?.toLowerCase().includes(this.searched));
  }

  describe(node) {
    const part = shareText(node.weight / this.root.weight);
    const own = node.own > 0 && node.children.length > 0 ? `, ${this.weights.show(node.own)} of it here` : "";
    return `${flameName(node)}: ${this.weights.show(node.weight)} (${part})${own}`;
  }

  nodeOf(target) {
    const drawn = target.closest?.("[data-node]");
    return drawn ? this.nodes[Number(drawn.dataset.node)].node : undefined;
  }

  drawnOf(node) {
    return this.graph.children[this.nodes.findIndex((drawn) => drawn.node === node)];
  }

  tell(node) {
    if (node) replace(this.told, foreign(this.describe(node)));
  }

  focusOn(node) {
    const before = this.drawnOf(this.focused);
    if (before) before.tabIndex = -1;
    this.focused = node;
    this.drawnOf(node).tabIndex = 0;
    this.tell(node);
  }

  click(event) {
    const node = this.nodeOf(event.target);
    if (!node) return;
    this.zoom(node);
    this.drawnOf(node).focus({ preventScroll: true });
  }

  sibling(by) {
    const siblings = this.focused.parent?.children ?? [];
    return siblings[siblings.indexOf(this.focused) + by];
  }

  key(event) {
    const { focused } = this;
    const moves = {
      ArrowUp: () => focused.parent, ArrowDown: () => focused.children[0],
      ArrowLeft: () => this.sibling(-1), ArrowRight: () => this.sibling(1),
      Home: () => this.root,
    };
    if (event.key === "Enter" || event.key === " ") this.zoom(focused);
    else if (event.key === "Escape") this.zoom(this.zoomed.parent ?? this.root);
    else if (event.key in moves) this.focused = this.reachable(moves[event.key]()) ?? focused;
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.drawnOf(this.focused)?.focus({ preventScroll: false });
  }

  reachable(node) {
    return node && this.drawnOf(node) ? node : undefined;
  }

  /** Marks the functions whose name has the text; returns how much they weigh together. */
  filter(filter) {
    this.searched = filter.text ?? "";
    if (!this.root) return {};
    this.draw();
    if (filter.terms) return { message: "Conditions are for tables; here functions are searched by name." };
    if (!this.searched) return {};
    return { message: `${this.weights.show(this.found(this.root))} of ${this.weights.show(this.root.weight)} goes through what is found` };
  }

  found(node) {
    if (node.frame && this.matches(node)) return node.weight;
    return node.children.reduce((sum, child) => sum + this.found(child), 0);
  }
}

/** Chooses what the stacks are weighed by, and of what; then the graph. */
class FlameView {
  constructor(by, of) {
    this.by = by in WEIGHTS ? by : "wait";
    const chosen = flameObjects(this.by).includes(of) ? of : undefined;
    this.graph = new FlameGraph(this.by, chosen);
    this.node = el("div", {}, this.choices(chosen), this.graph.node);
  }

  choices(of) {
    const by = Object.entries(WEIGHTS).map(([name, { title, of: told }]) =>
      el("a", { href: `#flame/${name}`, title: told, "aria-current": name === this.by ? "true" : undefined }, title));
    const { objects } = WEIGHTS[this.by];
    const options = flameObjects(this.by).map((id) =>
      el("option", { value: id, selected: id === of }, `${id} ${objects.get(id)?.name ?? ""}`));
    const select = el("select", {
      "aria-label": "Of which map or lock",
      onchange: () => { location.hash = `#flame/${this.by}${select.value && `/${select.value}`}`; },
    }, el("option", { value: "" }, "everything"), options);
    return el("p", { class: "choices" }, by, select);
  }

  filter(filter) {
    return this.graph.filter(filter);
  }
}

