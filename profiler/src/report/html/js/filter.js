// The search: text, or conditions such as `wait.p99 > 5ms and ops >= 1k`.
//
// The same language as the terminal's filter.

/** Longest first, so that `>=` is not taken for `>`. */
const RELATIONS = [
  [">=", (a, b) => a >= b],
  ["<=", (a, b) => a <= b],
  ["!=", (a, b) => a !== b],
  ["==", (a, b) => a === b],
  ["=", (a, b) => a === b],
  [">", (a, b) => a > b],
  ["<", (a, b) => a < b],
  ["~", null],
];

/** Endings of numbers; longest first among those of the same last letter. */
const FACTORS = [
  ["ns", 1], ["us", 1e3], ["µs", 1e3], ["ms", 1e6], ["min", 60e9], ["m", 60e9], ["s", 1e9],
  ["%", 0.01], ["k", 1e3], ["K", 1e3], ["M", 1e6], ["G", 1e9],
];

function numberOf(text) {
  const number = (part) => (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(part) ? Number(part) : undefined);
  for (const [ending, factor] of FACTORS) {
    if (!text.endsWith(ending)) continue;
    const value = number(text.slice(0, -ending.length).trimEnd());
    if (value !== undefined) return value * factor;
  }
  return number(text);
}

function unquoted(text) {
  const quoted = text.length > 1 && text.startsWith('"') && text.endsWith('"');
  return quoted ? text.slice(1, -1) : text;
}

/** The terms between the words `and`; quotes keep what is in them together. */
function termsOf(text) {
  const terms = [];
  let start = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '"') quoted = !quoted;
    if (!quoted && text.startsWith(" and ", at)) {
      terms.push(text.slice(start, at));
      start = at + 5;
      at += 4;
    }
  }
  terms.push(text.slice(start));
  return terms;
}

/** `wait > 5ms` as its parts; undefined where it is no comparison. */
function termOf(text) {
  for (let at = 0; at < text.length; at += 1) {
    const found = RELATIONS.find(([sign]) => text.startsWith(sign, at));
    if (!found) continue;
    const field = text.slice(0, at).trim().toLowerCase();
    const value = text.slice(at + found[0].length).trim();
    return field && value ? { field, holds: found[1], value } : undefined;
  }
  return undefined;
}

/** What was typed: `{ text }` or `{ terms }`. */
function parseFilter(typed) {
  const terms = termsOf(typed).map(termOf);
  return terms.every(Boolean) ? { terms } : { text: typed.trim().toLowerCase() };
}

function columnNamed(columns, name) {
  return columns.find((column) => column.id === name || column.title.toLowerCase() === name);
}

function termTest(term, column) {
  if (column.kind === "text") {
    const value = unquoted(term.value);
    if (!term.holds) {
      const part = value.toLowerCase();
      return (row) => column.of(row)?.toLowerCase().includes(part) ?? false;
    }
    return (row) => column.of(row) !== undefined && term.holds(column.of(row), value);
  }
  const value = numberOf(term.value);
  if (value === undefined || !term.holds) return () => false;
  return (row) => column.of(row) !== undefined && term.holds(column.of(row), value);
}

/**
 * Whether a row of these columns is searched for. A condition on a column that is not there
 * finds nothing, and `missing` names it.
 */
function filterTest(filter, columns) {
  if (filter.terms) {
    const missing = filter.terms.find((term) => !columnNamed(columns, term.field))?.field;
    if (missing !== undefined) return { missing, test: () => false };
    const tests = filter.terms.map((term) => termTest(term, columnNamed(columns, term.field)));
    return { test: (row) => tests.every((test) => test(row)) };
  }
  if (!filter.text) return { test: () => true };
  const texts = columns.filter((column) => column.kind === "text");
  return {
    test: (row) => texts.some((column) => column.of(row)?.toLowerCase().includes(filter.text)),
  };
}

