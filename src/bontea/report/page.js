"use strict";
// Theme, charts and their controls. Runs in the head: the theme is set before anything is painted.
(() => {
  const root = document.documentElement;
  const KEY = "bontea-theme";
  const PRINT_WIDTH = 680; // pixels between the margins of A4, and less than those of Letter
  let printing = false;

  function storage(action) {
    try {
      return action(window.localStorage);
    } catch {
      return null; // not allowed here; the theme is then forgotten with the page
    }
  }

  const saved = storage((store) => store.getItem(KEY));
  root.dataset.theme = ["light", "dark"].includes(saved) ? saved : "auto";
  root.dataset.script = "";

  document.addEventListener("DOMContentLoaded", () => {
    const charts = JSON.parse(document.getElementById("charts").textContent);
    for (const chart of charts) chart.element = document.getElementById(`chart-${chart.id}`);

    const probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
    function colour(name, alpha = 1) {
      probe.style.color = `var(--${name})`;
      const [r, g, b] = getComputedStyle(probe).color.match(/[\d.]+/g);
      return `rgba(${r}, ${g}, ${b}, ${alpha})`;
    }

    function themedTrace(trace, visible, bands) {
      const { colour: number, role } = trace.meta;
      const name = number === undefined ? "muted" : `series-${number}`;
      const out = { ...trace, visible, line: { ...trace.line }, marker: { ...trace.marker } };
      out.line.color = out.marker.color = colour(name);
      const alpha = 0.2 * Math.min(1, 3 / bands); // many bands over each other stay pale
      if (role === "band") out.fillcolor = colour(name, alpha);
      if (role === "band beyond") out.fillcolor = colour(name, 0.6 * alpha);
      return out;
    }

    function themedAxis(axis, width) {
      const out = { ...axis, color: colour("ink"), gridcolor: colour("rule") };
      out.linecolor = out.tickcolor = colour("control");
      out.zerolinecolor = colour("ink");
      if (axis.tickvals) {
        const room = Math.max(2, Math.floor((width - 60) / 44));
        const step = Math.ceil(axis.tickvals.length / room);
        out.tickvals = axis.tickvals.filter((_, i) => i % step === 0);
        out.ticktext = axis.ticktext.filter((_, i) => i % step === 0);
      }
      return out;
    }

    // A box takes the focus where it has to be scrolled, and nowhere else.
    function focusable() {
      // What is closed is not measured: long texts would be laid out that nobody asked to see. And
      // all are measured before one is changed, or each would be laid out anew for the next.
      const boxes = [...document.querySelectorAll(".scroll")];
      const open = boxes.filter((box) => !box.closest("details:not([open])"));
      const measured = open.map((box) => [
        box,
        box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight,
      ]);
      for (const [box, scrolls] of measured) {
        if (scrolls) box.tabIndex = 0;
        else box.removeAttribute("tabindex");
      }
    }

    function draw() {
      focusable();
      for (const chart of charts) {
        const { element, layout, traces } = chart;
        const style = getComputedStyle(element);
        const width = printing
          ? Math.min(PRINT_WIDTH, parseFloat(style.maxWidth) || PRINT_WIDTH)
          : element.clientWidth;
        const size = width < 500 ? 12 : 14;
        const shown = (i) => (element.data ? (element.data[i].visible ?? true) : true);
        const themed = {
          ...layout,
          width,
          height: printing ? 420 : element.clientHeight,
          // On a phone the check boxes are the legend: two would leave no room for the chart.
          showlegend: layout.showlegend && (width >= 500 || printing || boxes(chart).length === 0),
          paper_bgcolor: colour("page"),
          plot_bgcolor: colour("page"),
          font: { family: getComputedStyle(document.body).fontFamily, size, color: colour("ink") },
          hoverlabel: {
            bgcolor: colour("surface"),
            bordercolor: colour("control"),
            font: { color: colour("ink"), size },
            align: "left",
          },
          // A finger that drags scrolls the page.
          dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
          xaxis: themedAxis(layout.xaxis, width),
          yaxis: themedAxis(layout.yaxis, width),
          shapes: layout.shapes.map((s) => ({ ...s, line: { ...s.line, color: colour("muted") } })),
          annotations: layout.annotations.map((a) => ({
            ...a,
            font: { color: colour("muted"), size: size - 1 },
          })),
        };
        const config = { displayModeBar: false, displaylogo: false, doubleClick: "reset" };
        const bands = traces.filter((trace) => trace.meta.role === "band").length;
        const themedTraces = traces.map((trace, i) => themedTrace(trace, shown(i), bands));
        Plotly.react(element, themedTraces, themed, config);
      }
    }

    function boxes(chart) {
      return document.querySelectorAll(`input[data-chart="${chart.id}"]`);
    }
    function members(chart, series) {
      return chart.traces.flatMap((trace, i) => (trace.meta.series === series ? [i] : []));
    }

    draw();
    for (const chart of charts) {
      for (const box of boxes(chart)) {
        box.addEventListener("change", () => {
          const which = members(chart, Number(box.dataset.series));
          Plotly.restyle(chart.element, { visible: box.checked ? true : "legendonly" }, which);
        });
      }
      // A click in Plotly's legend: the boxes follow.
      chart.element.on("plotly_restyle", () => {
        for (const box of boxes(chart)) {
          const [first] = members(chart, Number(box.dataset.series));
          box.checked = (chart.element.data[first].visible ?? true) === true;
        }
      });
      const controls = document.getElementById(`controls-${chart.id}`);
      controls.querySelector(".reset").addEventListener("click", () => {
        Plotly.relayout(chart.element, { "xaxis.autorange": true, "yaxis.autorange": true });
      });
      controls.querySelector(".save").addEventListener("click", () => {
        const { clientWidth: width, clientHeight: height } = chart.element;
        const filename = `best-of-n-${chart.id}`;
        Plotly.downloadImage(chart.element, { format: "png", width, height, scale: 2, filename });
      });
    }

    for (const choice of document.querySelectorAll('input[name="theme"]')) {
      choice.checked = choice.value === root.dataset.theme;
      choice.addEventListener("change", () => {
        root.dataset.theme = choice.value;
        storage((store) => store.setItem(KEY, choice.value));
        draw();
      });
    }
    for (const more of document.querySelectorAll("details")) {
      more.addEventListener("toggle", focusable);
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

    let frame = 0;
    window.addEventListener("resize", () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(draw);
    });
    let theme = root.dataset.theme;
    window.addEventListener("beforeprint", () => {
      theme = root.dataset.theme;
      root.dataset.theme = "light";
      printing = true;
      draw();
    });
    window.addEventListener("afterprint", () => {
      root.dataset.theme = theme;
      printing = false;
      draw();
    });
  });
})();
