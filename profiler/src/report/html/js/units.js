"use strict";

// Figures as people read them: the same units as in the terminal.

function threeDigits(value) {
  const decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return value.toFixed(decimals);
}

function scaled(value) {
  const units = ["", "k", "M", "G", "T", "P"];
  let unit = 0;
  while (value >= 999.5 && unit + 1 < units.length) {
    value /= 1000;
    unit += 1;
  }
  return threeDigits(value) + units[unit];
}

/** `999`, `1.23k`, `12.3M`. */
function countText(n) {
  return n < 1000 ? String(n) : scaled(n);
}

/** `0.52`, `12.3`, `1.23M`. */
function rateText(perSecond) {
  if (perSecond === 0) return "0";
  return perSecond < 0.01 ? "<0.01" : scaled(perSecond);
}

function twoDigits(n) {
  return String(n).padStart(2, "0");
}

/** `123ns`, `1.23µs`, `59.9s`, `2m03s`, `1h02m`, `3d04h`. */
function timeText(ns) {
  if (ns < 1000) return `${Math.round(ns)}ns`;
  // The bounds are where three digits would round up to the next unit.
  if (ns < 999_500) return `${threeDigits(ns / 1e3)}µs`;
  if (ns < 999_500_000) return `${threeDigits(ns / 1e6)}ms`;
  if (ns < 59_950_000_000) return `${threeDigits(ns / 1e9)}s`;
  const seconds = Math.floor(ns / 1e9);
  if (seconds < 3600) {
    const rounded = Math.floor(Math.ceil(ns / 5e8) / 2);
    return `${Math.floor(rounded / 60)}m${twoDigits(rounded % 60)}s`;
  }
  if (seconds < 86_400) {
    return `${Math.floor(seconds / 3600)}h${twoDigits(Math.floor(seconds / 60) % 60)}m`;
  }
  return `${Math.floor(seconds / 86_400)}d${twoDigits(Math.floor(seconds / 3600) % 24)}h`;
}

/** `12.3%`. Only nothing is `0%` and only all is `100%`. */
function shareText(ofOne) {
  const percent = ofOne * 100;
  if (percent === 0) return "0%";
  if (percent > 0 && percent < 0.05) return "<0.1%";
  if (percent >= 99.95 && percent < 100) return ">99.9%";
  return percent === 100 ? "100%" : `${percent.toFixed(1)}%`;
}

/** Of `n` in so many ns, per second; undefined where no time passed. */
function perSecond(n, durationNs) {
  return durationNs > 0 ? (n * 1e9) / durationNs : undefined;
}

/** `1 wait`, `39.5k waits`. */
function some(n, one, many) {
  return `${countText(n)} ${n === 1 ? one : many}`;
}

