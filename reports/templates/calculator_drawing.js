"use strict";
/* What of the nomogram does not move: lines, ticks, names, drawn once for a width. */
const usstatsDrawing = (() => {
  const space = "http://www.w3.org/2000/svg";
  const { sizes, labelY } = usstatsAxes;

  function setAll(target, attributes) {
    Object.keys(attributes).forEach((key) => target.setAttribute(key, attributes[key]));
  }
  function node(parent, name, attributes, text) {
    const made = document.createElementNS(space, name);
    setAll(made, attributes);
    if (text !== undefined) { made.textContent = text; }
    parent.append(made);
    return made;
  }
  function line(group, x1, y1, x2, y2, kind) {
    return node(group, "line", { x1, y1, x2, y2, class: kind });
  }
  /* Widths of texts as the page will set them. */
  function measurer() {
    const canvas = document.createElement("canvas").getContext("2d");
    const family = getComputedStyle(document.body).fontFamily;
    return (text, size, bold) => {
      canvas.font = `${bold ? 600 : 400} ${size}px ${family}`;
      return canvas.measureText(text).width;
    };
  }

  function drawLabels(group, strip) {
    strip.labels.filter((label) => label.row > 0).forEach((label) => node(group, "path", {
      d: `M${label.tick} ${strip.y}v6L${label.x} ${labelY(strip, label) - 10}`, class: "leader" }));
    strip.labels.forEach((label) => node(group, "text", {
      x: label.x, y: labelY(strip, label), class: "tick-text" }, label.text));
  }
  function drawStrip(group, strip, next) {
    const { y } = strip;
    line(group, strip.ends[0], y, strip.ends[1], y, "axis");
    strip.minor.forEach((x) => line(group, x, y, x, y + 3, "minor"));
    strip.ticks.forEach((x) => line(group, x, y, x, y + 6, "tick"));
    if (next) { line(group, strip.turn, y, strip.turn, next.y, "minor"); }
    drawLabels(group, strip);
  }
  /* Where patients of development lie on an axis. */
  function drawDevelopment(group, model, row, scale) {
    const { variable, axis, strips } = row;
    if (variable.kind === "factor" || row.flat) { return; }
    const held = usstatsAxes.axisValues(row.group, axis, new Map());
    const inside = usstatsAxes.curve(model, row.group, axis, held)
      .filter((p) => p.value >= variable.minimum && p.value <= variable.maximum);
    strips.forEach((strip, run) => {
      const xs = inside.filter((p) => p.run === run).map((p) => scale(p.points));
      if (!xs.length) { return; }
      if (run > 0 && variable.minimum <= axis.turns[run - 1]) { xs.push(strips[run - 1].turn); }
      line(group, Math.min(...xs), strip.y, Math.max(...xs), strip.y, "development");
    });
  }
  /* Name, value and reading: beside the axis where there is room, above it on a phone. */
  function drawNames(group, row, drawn) {
    const { frame, width, measure } = drawn;
    const lift = (row.name.length - 1) * 8 - (row.kind === "points" ? 4 : 0);
    const first = frame.wide ? row.y - lift : row.top + 14;
    const below = first + 16 * row.name.length;
    row.name.forEach((text, i) => node(group, "text", { x: 0, y: first + 16 * i, class: "axis-name" }, text));
    const beside = { x: measure(row.name[0], sizes.name, true) + 8, y: first };
    const given = frame.wide ? { x: 0, y: below - 1 } : beside;
    row.given.forEach((text) => node(group, "text", { ...given, class: "given" }, text));
    const valueY = frame.wide ? below + 16 * row.given.length : first + 17;
    const readingY = frame.wide ? row.y + 4 : row.tall ? valueY : first;
    row.value = node(group, "text", { x: 0, y: valueY, class: "value" });
    row.reading = node(group, "text", { x: width, y: readingY, class: "reading" });
    row.limits = frame.wide ? node(group, "text", { x: width, y: row.y + 20, class: "limits" }) : null;
  }
  function drawCutoff(group, row, drawn, total, text) {
    const { frame, width, measure } = drawn;
    const x = drawn.totals(total);
    if (x < frame.left - 1 || x > frame.right + 1) { return; }
    const y = row.strips[0].y;
    node(group, "path", { d: `M${x} ${y - 1}l-5 -9h10z`, class: "cutoff" });
    const half = measure(text, sizes.tick, true) / 2;
    const centre = Math.min(Math.max(x, half), width - half);
    node(group, "text", { x: centre, y: y - 15, class: "cutoff-text" }, text);
  }
  /* The area of an axis that answers to mouse and finger. */
  function drawBand(group, row, frame) {
    return node(group, "rect", {
      x: Math.max(frame.left - 22, 0),
      y: row.y - 22,
      width: frame.right - frame.left + 38,
      height: Math.max(row.bottom - row.y + 16, 44),
      class: "band",
    });
  }
  function drawRow(root, model, row, drawn, cutoffText) {
    const group = node(root, "g", { class: "row", "aria-hidden": "true" });
    row.node = group;
    if (row.kind === "axis") { drawDevelopment(group, model, row, drawn.points); }
    row.strips.forEach((strip, i) => drawStrip(group, strip, row.strips[i + 1]));
    if (row.cutoff) { drawCutoff(group, row, drawn, model.nomogram.cutoff_total, cutoffText); }
    drawNames(group, row, drawn);
    if (row.kind === "outcome") { row.interval = node(group, "path", { class: "interval" }); }
    if (row.kind === "axis" && !row.flat) { row.band = drawBand(group, row, drawn.frame); }
  }
  function drawMarker(root) {
    const marker = node(root, "g", {
      class: "marker", tabindex: 0, role: "slider", "aria-orientation": "horizontal" });
    [["target", 22], ["ring", 13], ["dot", 8]].forEach(([kind, r]) => node(marker, "circle", { r, class: kind }));
    return marker;
  }
  /* Everything in its place, markers last so that nothing covers them. */
  function draw(root, model, width, cutoffText) {
    const measure = measurer();
    const drawn = { ...usstatsAxes.layout(model, width, measure), measure };
    root.replaceChildren();
    setAll(root, { viewBox: `0 0 ${width} ${drawn.height}`, width, height: drawn.height });
    drawn.sum = node(root, "line", { class: "sum", "aria-hidden": "true" });
    drawn.guide = node(root, "line", { class: "guide", "aria-hidden": "true" });
    drawn.rows.forEach((row) => drawRow(root, model, row, drawn, cutoffText));
    drawn.lower = drawn.rows.filter((row) => row.kind === "total" || row.kind === "outcome");
    drawn.lower.forEach((row) => {
      row.dot = node(root, "circle", { r: 5, class: "dot lower", "aria-hidden": "true" });
    });
    drawn.markers = model.nomogram.groups.map(() => drawMarker(root));
    return drawn;
  }

  return { draw, setAll };
})();
