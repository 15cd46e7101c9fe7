"use strict";
/* The page: reads the form, shows the risk, draws the nomogram. Text only ever enters as text. */
(function () {
  const model = JSON.parse(document.getElementById("model").textContent);
  const byId = function (id) { return document.getElementById(id); };
  const svgSpace = "http://www.w3.org/2000/svg";

  function element(name, attributes, text) {
    const node = document.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) { node.setAttribute(key, attributes[key]); });
    if (text !== undefined) { node.textContent = text; }
    return node;
  }
  function percent(p) {
    const shown = (100 * p).toFixed(1);
    if (shown === "0.0") { return "< 0.1%"; }
    if (shown === "100.0") { return "> 99.9%"; }
    return shown + "%";
  }
  function fixed(x, digits) {
    const shown = x.toFixed(digits);
    return (Number(shown) === 0 ? shown.replace("-", "") : shown).replace("-", "\u2212");
  }

  const fields = model.variables.map(function (variable, i) {
    const id = "field-" + i;
    const box = element("div", { class: "field" });
    const label = element("label", { for: id }, variable.label);
    if (variable.unit) { label.append(element("span", { class: "unit" }, " " + variable.unit)); }
    let input;
    if (variable.kind === "factor") {
      input = element("select", { id: id });
      input.append(element("option", { value: "" }, "Choose"));
      variable.levels.forEach(function (level) { input.append(element("option", { value: level }, level)); });
    } else {
      input = element("input", { id: id, type: "text", inputmode: "decimal", autocomplete: "off" });
    }
    input.setAttribute("aria-describedby", id + "-range");
    const range = element("p", { id: id + "-range", class: "range" }, variable.range_text);
    const warning = element("p", { class: "warning", role: "status" });
    box.append(label, input, range, warning);
    byId("fields").append(box);
    input.addEventListener("input", update);
    input.addEventListener("change", update);
    return { variable: variable, input: input, warning: warning };
  });

  function warn(field, value) {
    const v = field.variable;
    let text = "";
    if (field.input.value.trim() !== "" && value === null) {
      text = v.domain_text;
    } else if (value !== null && v.kind !== "factor" && (value < v.minimum || value > v.maximum)) {
      text = "Outside the range the model was developed in; the risk is an extrapolation.";
    }
    field.warning.textContent = text;
    field.input.setAttribute("aria-invalid", String(text !== "" && value === null));
    return text !== "" && value !== null;
  }
  function read() {
    const values = {};
    let complete = true;
    let outside = 0;
    fields.forEach(function (field) {
      const value = usstatsModel.defined(field.variable, field.input.value);
      values[field.variable.name] = value;
      complete = complete && value !== null;
      outside += warn(field, value) ? 1 : 0;
    });
    return { values: values, complete: complete, outside: outside };
  }
  function update() {
    const entered = read();
    if (!entered.complete) { showNothing(entered); return; }
    const answer = usstatsModel.predict(model, entered.values);
    const points = model.axes.map(function (axis) { return axisReading(axis, entered.values); });
    const total = points.reduce(function (sum, x) { return sum + (x === null ? 0 : x); }, 0);
    byId("risk").textContent = percent(answer.risk);
    byId("interval").textContent = model.level_text + " confidence interval "
      + percent(answer.low) + " to " + percent(answer.high);
    byId("total").textContent = fixed(total, 1);
    byId("lp").textContent = fixed(answer.lp, 3);
    byId("cutoff").textContent = model.threshold === null ? ""
      : (answer.risk >= model.threshold ? "At or above" : "Below") + " the cut-off of "
        + percent(model.threshold) + " that was fixed in development.";
    byId("outside").textContent = entered.outside === 0 ? ""
      : "Extrapolated: see the warning beside " + (entered.outside === 1 ? "one field." : entered.outside + " fields.");
    draw(points, total);
  }
  function showNothing(entered) {
    const missing = fields.filter(function (f) { return entered.values[f.variable.name] === null; });
    byId("risk").textContent = "\u2013";
    byId("interval").textContent = missing.length === fields.length ? "Fill in the fields."
      : "Still needed: " + missing.map(function (f) { return f.variable.label; }).join(", ") + ".";
    ["total", "lp"].forEach(function (id) { byId(id).textContent = "\u2013"; });
    ["cutoff", "outside"].forEach(function (id) { byId(id).textContent = ""; });
    draw(model.axes.map(function (axis) { return axisReading(axis, entered.values); }), null);
  }
  /* Points on an axis, or null where its variables are missing or it is another level's axis. */
  function axisReading(axis, values) {
    const known = axis.variables.every(function (name) { return values[name] !== null; });
    const mine = Object.keys(axis.given).every(function (name) { return values[name] === axis.given[name]; });
    return known && mine ? usstatsModel.axisPoints(model, axis, values) : null;
  }

  /* ---- nomogram ---- */
  const rowHeight = 50;
  const belowHeight = 14;
  const edge = 22;
  function svg(parent, name, attributes, text) {
    const node = document.createElementNS(svgSpace, name);
    Object.keys(attributes).forEach(function (key) { node.setAttribute(key, attributes[key]); });
    if (text !== undefined) { node.textContent = text; }
    parent.append(node);
    return node;
  }
  function drawTicks(group, ticks, scale, y, spread) {
    const taken = { above: [], below: [] };
    ticks.forEach(function (tick) {
      const x = scale(tick.at);
      const half = tick.text.length * 3.1 + 3;
      const sides = tick.below ? ["below"] : spread ? ["above", "below"] : ["above"];
      const side = sides.find(function (name) {
        return taken[name].every(function (other) { return Math.abs(other.x - x) > other.half + half; });
      });
      const below = (side || sides[0]) === "below";
      svg(group, "line", { x1: x, x2: x, y1: y, y2: y + (below ? 5 : -5), class: "tick" });
      if (side === undefined) { return; }
      taken[side].push({ x: x, half: half });
      svg(group, "text", { x: x, y: below ? y + 16 : y - 8, class: "tick-text" }, tick.text);
    });
  }
  /* Draws one axis from the height `top` and returns where the next one starts. */
  function drawAxis(root, top, label, reading, ticks, scale, at, spread) {
    const y = top + 38;
    const group = svg(root, "g", {});
    const positions = ticks.map(function (tick) { return scale(tick.at); });
    svg(group, "text", { x: 0, y: y - 25, class: "axis-label" }, label);
    if (reading) { svg(group, "text", { x: root.width.baseVal.value, y: y - 25, class: "reading" }, reading); }
    svg(group, "line", { x1: Math.min.apply(null, positions), x2: Math.max.apply(null, positions),
      y1: y, y2: y, class: "axis" });
    drawTicks(group, ticks, scale, y, spread);
    if (at !== null) {
      const x = Math.min(Math.max(scale(at), 4), root.width.baseVal.value - 4);
      svg(group, "circle", { cx: x, cy: y, r: 4.5, class: "marker" });
    }
    const hangs = spread || ticks.some(function (tick) { return tick.below; });
    return top + rowHeight + (hangs ? belowHeight : 0);
  }
  function spread(low, high, width) {
    return function (x) { return edge + (x - low) / (high - low) * (width - 2 * edge); };
  }
  function draw(points, total) {
    const root = byId("nomogram");
    const width = Math.max(Math.floor(root.parentElement.clientWidth), 280);
    root.replaceChildren();
    root.setAttribute("width", width);
    svg(root, "title", {}, "Nomogram with this patient's readings");
    const scale = spread(model.points_range[0], model.points_range[1], width);
    const totals = spread(model.total_range[0], model.total_range[1], width);
    let top = drawAxis(root, 0, "Points", "", model.points_ticks, scale, null, false);
    model.axes.forEach(function (axis, i) {
      const read = points[i] === null ? "" : fixed(points[i], 1) + " points";
      top = drawAxis(root, top, axis.label, read, axis.ticks, scale, points[i], axis.spread);
    });
    const sum = total === null ? "" : fixed(total, 1) + " points";
    top = drawAxis(root, top, "Total points", sum, model.total_ticks, totals, total, false);
    const risk = total === null ? "" : byId("risk").textContent;
    top = drawAxis(root, top, model.outcome_label, risk, model.risk_ticks, totals, total, false);
    root.setAttribute("height", top);
  }

  byId("typical").addEventListener("click", function () {
    fields.forEach(function (field) {
      const v = field.variable;
      field.input.value = v.kind === "factor" ? v.typical : String(Number(v.typical.toPrecision(3)));
    });
    update();
  });
  byId("clear").addEventListener("click", function () {
    fields.forEach(function (field) { field.input.value = ""; });
    update();
    fields[0].input.focus();
  });
  byId("form").addEventListener("submit", function (event) { event.preventDefault(); });
  window.addEventListener("resize", update);
  update();
}());
