// Sorts tables, steps through the lines of a sweep, and opens what is folded before printing.
"use strict";
(() => {
  const cellOf = (row, index) => row.cells[index];
  const valueOf = (row, index, kind) => {
    const cell = cellOf(row, index);
    const text = cell?.dataset.value ?? cell?.textContent.trim() ?? "";
    if (kind === "text" || text === "") return text === "" ? null : text;
    const number = Number(text);
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "number") return -1;
    if (typeof b === "number") return 1;
    return a.localeCompare(b, undefined, { numeric: true });
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.querySelectorAll("thead th[data-sort]")];
    const body = table.tBodies[0];
    heads.forEach((head) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const kind = head.dataset.sort;
        const before = head.getAttribute("aria-sort");
        // Of figures the largest is looked for first, of names the first.
        const first = kind === "text" ? "ascending" : "descending";
        const second = first === "ascending" ? "descending" : "ascending";
        const order = before === first ? second : first;
        const sign = order === "ascending" ? 1 : -1;
        const index = head.cellIndex;
        const rows = [...body.rows].map((row) => [valueOf(row, index, kind), row]);
        // Gaps go last in both directions.
        rows.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          return sign * compare(a, b);
        });
        body.append(...rows.map(([, row]) => row));
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
      });
    });
  }

  for (const chart of document.querySelectorAll("svg.parallel")) {
    const readout = chart.closest(".wide").nextElementSibling;
    const initial = readout.textContent;
    // Drawn worst first; stepping begins with the best.
    const lines = [...chart.querySelectorAll("g.line")].reverse();
    const show = (line) => { readout.textContent = line ? line.getAttribute("aria-label") : initial; };
    lines.forEach((line, index) => {
      line.addEventListener("pointerenter", () => show(line));
      line.addEventListener("pointerleave", () => show(null));
      line.addEventListener("focus", () => show(line));
      line.addEventListener("blur", () => show(null));
      line.addEventListener("keydown", (event) => {
        const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
        const next = step && lines[index + step];
        if (!next) return;
        event.preventDefault();
        line.tabIndex = -1;
        next.tabIndex = 0;
        next.focus({ preventScroll: true });
      });
    });
  }

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((details) => { details.open = false; }));
  document.documentElement.classList.add("has-script");
})();
