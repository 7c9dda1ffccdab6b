// How figures were over time: one bar for each step of the session.

function stepSpan(step) {
  return `${timeText(step.at_ns)} – ${timeText(step.at_ns + step.duration_ns)}`;
}

/** What is told of a subject over time: title, its figures, and how one reads. */
const OVER_TIME = [
  ["ops", "Operations per second", rateText, true],
  ["wait_ns", "Wait per second", timeText, true],
  ["blame_ns", "Blame per second", timeText, true],
  ["len", "Elements", countText, false],
];

/** A map's, key's or lock's figures over time, where they are told. */
function pastPictures(past) {
  if (!past) return null;
  const pictures = OVER_TIME.filter(([name]) => past[name]).map(([name, title, show, each]) => {
    const bars = DATA.steps.map((step, at) => {
      const figure = past[name][at] ?? undefined;
      const value = figure !== undefined && each ? perSecond(figure, step.duration_ns) : figure;
      const told = value === undefined ? "not kept for this step" : show(value);
      return { width: step.duration_ns, value, label: `${stepSpan(step)}: ${told}` };
    });
    return el("figure", { class: "past" }, el("figcaption", {}, title), barsPicture(bars, `${title} over time`));
  });
  return pictures.length > 0 ? section("Over time", pictures) : null;
}

/** The whole session's operations and waits, with the figures of the step that is chosen. */
class Timeline {
  constructor(onOpen) {
    this.steps = DATA.steps;
    this.at = this.steps.length - 1;
    this.told = el("p", { class: "told" });
    this.marks = [];
    const charts = [
      ["Operations per second", (step) => perSecond(step.ops, step.duration_ns), rateText],
      ["Wait per second", (step) => perSecond(step.wait_ns, step.duration_ns), timeText],
    ];
    this.charts = el("div", {
      class: "timeline", tabindex: 0, role: "slider", "aria-label": "Step of the session",
      "aria-valuemin": 1, "aria-valuemax": this.steps.length,
      onkeydown: (event) => this.key(event), onpointermove: (event) => this.point(event),
      onclick: () => onOpen(this.steps[this.at]),
    }, charts.map((chart) => this.chart(chart)));
    this.node = el("div", {}, this.charts, this.told);
    this.choose(this.at);
  }

  chart([title, of, show]) {
    const bars = this.steps.map((step) => {
      const value = of(step);
      return { width: step.duration_ns, value, label: `${stepSpan(step)}: ${show(value ?? 0)}` };
    });
    const most = Math.max(0, ...bars.map(({ value }) => value ?? 0));
    const mark = el("div", { class: "mark" });
    this.marks.push(mark);
    const last = this.steps.at(-1);
    return el("figure", {}, el("figcaption", {}, `${title}, at most ${show(most)}`),
      el("div", { class: "chart" }, barsPicture(bars, title), mark),
      el("div", { class: "axis" }, el("span", {}, "0s"),
        el("span", {}, last && timeText(last.at_ns + last.duration_ns))));
  }

  get length() {
    return this.steps.reduce((sum, step) => sum + step.duration_ns, 0) || 1;
  }

  choose(at) {
    const step = this.steps[at];
    if (!step) return;
    this.at = at;
    const before = this.steps.slice(0, at).reduce((sum, { duration_ns }) => sum + duration_ns, 0);
    for (const mark of this.marks) {
      mark.style.left = `${(before / this.length) * 100}%`;
      mark.style.width = `${(step.duration_ns / this.length) * 100}%`;
    }
    const figures = [
      stepSpan(step),
      `${rateText(perSecond(step.ops, step.duration_ns) ?? 0)} operations per second`,
      `${timeText(step.wait_ns)} waited in ${some(step.waits, "wait", "waits")}`,
      step.top_key && `most for ${step.top_key[1]}`,
      step.top_lock && `waits most for ${lockText(step.top_lock)}`,
      step.lost && `${countText(step.lost)} lost`,
    ].filter(Boolean).join(" · ");
    replace(this.told, foreign(figures));
    this.charts.setAttribute("aria-valuenow", at + 1);
    this.charts.setAttribute("aria-valuetext", figures);
  }

  point(event) {
    const box = this.charts.getBoundingClientRect();
    let left = ((event.clientX - box.left) / box.width) * this.length;
    const at = this.steps.findIndex((step) => (left -= step.duration_ns) < 0);
    if (at >= 0 && at !== this.at) this.choose(at);
  }

  key(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, Home: -Infinity, End: Infinity };
    if (event.key === "Enter") this.charts.click();
    else if (event.key in moves) {
      this.choose(Math.max(0, Math.min(this.steps.length - 1, this.at + moves[event.key])));
    } else return;
    event.preventDefault();
  }
}

