// Light or dark: as the system wants it, until the reader chooses.

function darkWanted() {
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function currentTheme() {
  return document.documentElement.dataset.theme ?? (darkWanted() ? "dark" : "light");
}

/** Storage may be denied to local files; the choice is then forgotten. */
function remembered(value) {
  try {
    if (value) localStorage.setItem("mapprof-theme", value);
    return localStorage.getItem("mapprof-theme");
  } catch {
    return null;
  }
}

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const other = theme === "dark" ? "light" : "dark";
  replace(byId("theme"), theme === "dark" ? "☀ Light" : "☾ Dark");
  byId("theme").setAttribute("aria-label", `Switch to the ${other} theme`);
}

function startTheme() {
  const before = remembered();
  applyTheme(before === "dark" || before === "light" ? before : currentTheme());
  byId("theme").addEventListener("click", () => {
    const theme = currentTheme() === "dark" ? "light" : "dark";
    remembered(theme);
    applyTheme(theme);
  });
}

