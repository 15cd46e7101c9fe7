"use strict";
/* Geometry of the nomogram: where rows, lines, ticks and labels stand, and what a place means. */
const usstatsAxes = (() => {
  const samplesPerAxis = 400;
  const wideFrom = 640;
  const sizes = { tick: 11.5, name: 13 };
  const stripHeight = 38;
  const labelDepth = 20;
  const labelRow = 15;
  const readingWidth = 190;
  const steps = [5, 2, 1];

  const transforms = {
    linear: { there: (x) => x, back: (u) => u },
    log: { there: Math.log, back: Math.exp },
    logit: { there: (x) => Math.log(x / (1 - x)), back: (u) => 1 / (1 + Math.exp(-u)) },
  };
  const transformOf = (variable) => transforms[variable.scale] || transforms.linear;
  const byName = (model, name) => model.variables.find((v) => v.name === name);

  /* ---- values along an axis ---- */
  function runOf(axis, value) {
    return typeof value === "number" ? axis.turns.filter((turn) => turn < value).length : 0;
  }
  function isDiscrete(variable) {
    return variable.kind === "factor" || variable.values.length > 0;
  }
  /* Values a marker can stand at: levels, few numbers, or many along a continuous axis. */
  function valuesAlong(variable, axis) {
    if (variable.kind === "factor") { return variable.levels; }
    const ends = [axis.values[0], axis.values[axis.values.length - 1]];
    const known = [...axis.values, ...axis.turns];
    if (variable.values.length) {
      return [...new Set([...known, ...variable.values])].sort((a, b) => a - b);
    }
    const { there, back } = transformOf(variable);
    const [low, high] = ends.map(there);
    const between = Array.from({ length: samplesPerAxis - 1 }, (_, i) => (
      back(low + (high - low) * (i + 1) / samplesPerAxis)
    ));
    return [...known, ...between].sort((a, b) => a - b);
  }
  /* Points along an axis for a patient whose other values are `values`. */
  function curve(model, group, axis, values) {
    const own = new Map(values);
    return valuesAlong(byName(model, axis.variable), axis).map((value) => {
      own.set(axis.variable, value);
      return { value, points: usstatsModel.groupPoints(model, group, own), run: runOf(axis, value) };
    });
  }
  function axisValues(group, axis, values) {
    const own = new Map(values);
    let rest = group.axes.indexOf(axis);
    [...group.held].reverse().forEach(({ name, options }) => {
      own.set(name, options[rest % options.length]);
      rest = Math.floor(rest / options.length);
    });
    return own;
  }

  /* ---- round numbers ---- */
  function roundStep(least) {
    const base = 10 ** Math.floor(Math.log10(least) + 1e-9);
    return base * steps.find((step) => step * base <= least * (1 + 1e-9));
  }
  const finestStep = (variable) => 10 ** -variable.decimals;
  function onGrid(count, step) {
    const decimals = Math.min(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)), 20);
    return Number((count * step).toFixed(decimals));
  }
  function rounded(variable, value, resolution) {
    const step = roundStep(Math.max(resolution, finestStep(variable)));
    return onGrid(Math.round(value / step), step);
  }
  /* The value one key press away: `count` hundredths of the axis, on a round number. */
  function stepped(variable, axis, value, count) {
    const values = valuesAlong(variable, axis);
    if (isDiscrete(variable)) {
      if (variable.kind === "factor") {
        const at = values.indexOf(value) + Math.sign(count);
        return values[Math.min(Math.max(at, 0), values.length - 1)];
      }
      const further = values.filter((other) => (other - value) * count > 0);
      return further.length ? further[count > 0 ? 0 : further.length - 1] : value;
    }
    const [low, high] = [values[0], values[values.length - 1]];
    if ((count > 0 && value >= high) || (count < 0 && value <= low)) { return value; }
    const { there, back } = transformOf(variable);
    const goal = back(there(value) + (there(high) - there(low)) * count / 100);
    const far = Math.abs(count) > 1;
    const step = roundStep(Math.max(Math.abs(goal - value) / (far ? 5 : 1), finestStep(variable)));
    const next = count > 0 ? Math.floor(value / step + 1e-9) + 1 : Math.ceil(value / step - 1e-9) - 1;
    return Math.min(Math.max(onGrid(far ? Math.round(goal / step) : next, step), low), high);
  }

  /* ---- what a place on the drawing means ---- */
  function distanceTo(x, a, b) {
    return Math.max(Math.min(a, b) - x, x - Math.max(a, b), 0);
  }
  function nearestLevel(points, x, scale, current) {
    const apart = points.map((p) => Math.abs(scale(p.points) - x) - (p.value === current ? 1e-6 : 0));
    return points[apart.indexOf(Math.min(...apart))].value;
  }
  /* The value of a place; of an axis that turns back, on the line that is nearest. */
  function valueAt(variable, row, points, scale, at, current) {
    if (isDiscrete(variable)) { return nearestLevel(points, at.x, scale, current); }
    let best = null;
    for (let i = 1; i < points.length; i += 1) {
      const [a, b] = [points[i - 1], points[i]];
      const strip = row.strips[b.run];
      const ends = [scale(a.points), scale(b.points)];
      const apart = Math.hypot(distanceTo(at.x, ...ends), row.strips.length > 1 ? at.y - strip.y : 0);
      if (best === null || apart < best.apart) { best = { apart, a, b, ends }; }
    }
    const width = best.ends[1] - best.ends[0];
    const share = width === 0 ? 0 : Math.min(Math.max((at.x - best.ends[0]) / width, 0), 1);
    const value = best.a.value + share * (best.b.value - best.a.value);
    const perPixel = Math.abs((best.b.value - best.a.value) / (width || 1));
    const ends = [points[0].value, points[points.length - 1].value];
    return Math.min(Math.max(rounded(variable, value, perPixel || finestStep(variable)), ends[0]), ends[1]);
  }

  /* ---- layout ---- */
  function shortened(text, width, size, measure) {
    if (measure(text, size) <= width) { return text; }
    const letters = [...text];
    while (letters.length > 1 && measure(letters.join("") + "\u2026", size) > width) { letters.pop(); }
    return letters.join("").trim() + "\u2026";
  }
  /* Text in at most two lines. */
  function wrapped(text, width, size, measure) {
    const words = text.split(" ");
    let first = "";
    while (words.length && measure(`${first} ${words[0]}`, size) <= width) {
      first = `${first} ${words.shift()}`.trim();
    }
    if (!first) { return [shortened(text, width, size, measure)]; }
    return words.length ? [first, shortened(words.join(" "), width, size, measure)] : [first];
  }
  function scaleOf([low, high], left, right) {
    return (x) => left + (x - low) / (high - low) * (right - left);
  }
  const clamp = (x, low, high) => Math.min(Math.max(x, low), Math.max(low, high));

  /* A label at its tick, kept on the page; `page` holds the ends of the room there is. */
  function labelBox(x, text, page, measure) {
    const shown = shortened(text, page.high - page.low - 4, sizes.tick, measure);
    const half = measure(shown, sizes.tick) / 2;
    return { tick: x, x: clamp(x, page.low + half, page.high - half), half, text: shown, row: 0 };
  }
  const apartBy = (gap) => (a, b) => Math.abs(a.x - b.x) > a.half + b.half + gap;
  /* Labels of numbers: both ends, then as many between as do not touch. */
  function thinned(boxes) {
    if (boxes.length < 2) { return boxes; }
    const ends = [boxes[0], boxes[boxes.length - 1]];
    const clear = apartBy(6);
    if (!clear(...ends)) { return ends; }
    const kept = [...ends];
    boxes.slice(1, -1).forEach((box) => {
      if (kept.every((other) => clear(box, other))) { kept.push(box); }
    });
    return kept;
  }
  /* Labels in one row, those that would touch moved aside together; null where they cannot. */
  function sideBySide(boxes, page) {
    const gap = 9;
    const runs = [];
    [...boxes].sort((a, b) => a.tick - b.tick).forEach((box) => {
      let run = { boxes: [box], size: 2 * box.half + gap, centre: box.tick };
      while (runs.length && runs[runs.length - 1].centre + runs[runs.length - 1].size / 2 > run.centre - run.size / 2) {
        const before = runs.pop();
        const joined = [...before.boxes, ...run.boxes];
        const size = before.size + run.size;
        const middle = joined.reduce((sum, own) => sum + own.tick, 0) / joined.length;
        run = { boxes: joined, size, centre: clamp(middle, page.low + size / 2, page.high - size / 2) };
      }
      const half = (run.size - gap) / 2;
      run.centre = clamp(run.centre, page.low + half, page.high - half);
      runs.push(run);
    });
    const total = runs.reduce((sum, run) => sum + run.size, 0);
    const right = (run) => run.centre + run.size / 2;
    const touches = (run, i) => i > 0 && right(runs[i - 1]) > run.centre - run.size / 2 + 1;
    if (total > page.high - page.low || runs.some(touches)) { return null; }
    return runs.flatMap((run) => {
      let left = run.centre - run.size / 2;
      return run.boxes.map((box) => {
        const x = left + box.half + gap / 2;
        left += 2 * box.half + gap;
        return { ...box, x };
      });
    });
  }
  /* Labels of which none may be left out: beside each other, else below each other. */
  function complete(boxes, page) {
    const placed = sideBySide(boxes, page);
    if (placed !== null) {
      const moved = placed.some((box) => Math.abs(box.x - box.tick) > 1.5 + box.half / 4);
      return placed.map((box) => ({ ...box, row: moved ? 0.5 : 0 }));
    }
    return [...boxes].sort((a, b) => a.tick - b.tick).map((box, i) => ({ ...box, row: i + 0.5 }));
  }
  function labelY(own, label) {
    return label.row < 0 ? own.y + 4 : own.y + labelDepth + labelRow * label.row;
  }
  function readable(xs) {
    const sorted = [...xs].sort((a, b) => a - b);
    return sorted.every((x, i) => i === 0 || x - sorted[i - 1] >= 3);
  }
  function inside(range, scale, list) {
    const slack = 1e-6 * (range[1] - range[0]);
    return list.filter((p) => p >= range[0] - slack && p <= range[1] + slack).map(scale);
  }
  function strip(xs, minor, labels) {
    const ends = [Math.min(...xs), Math.max(...xs)];
    const ticks = readable(xs) ? xs : [...ends, ...labels.map((label) => label.tick)];
    return { y: 0, ends, ticks, minor: readable([...xs, ...minor]) ? minor : [], labels, below: 0 };
  }
  function shownLabels(boxes, page) {
    const labels = thinned(boxes);
    return labels.length === 2 && !apartBy(6)(...labels) ? complete(labels, page) : labels;
  }
  function rulerStrips(ruler, range, scale, page, measure) {
    const boxes = ruler.points.map((p, i) => labelBox(scale(p), ruler.texts[i], page, measure));
    return [strip(boxes.map((b) => b.tick), inside(range, scale, ruler.minor), shownLabels(boxes, page))];
  }
  function levelStrips(axis, scale, page, measure) {
    const boxes = axis.points.map((p, i) => ({
      ...labelBox(scale(p), axis.texts[i], page, measure), value: axis.values[i],
    }));
    return [strip(boxes.map((b) => b.tick), [], complete(boxes, page))];
  }
  function turnTick(axis, turn) {
    const at = axis.values.indexOf(turn);
    if (at >= 0) { return { value: turn, points: axis.points[at], text: axis.texts[at] }; }
    const points = axis.minor[axis.minor_values.indexOf(turn)];
    return { value: turn, points, text: String(turn).replace("-", "\u2212") };
  }
  /* The lines of a numeric axis: one, or one for each stretch between its turning points. */
  function numberStrips(axis, scale, page, measure) {
    const ticks = axis.values.map((value, i) => ({ value, points: axis.points[i], text: axis.texts[i] }));
    return Array.from({ length: axis.turns.length + 1 }, (_, run) => {
      const own = ticks.filter((t) => runOf(axis, t.value) === run && !axis.turns.includes(t.value));
      const turn = run < axis.turns.length ? turnTick(axis, axis.turns[run]) : null;
      const from = run > 0 ? turnTick(axis, axis.turns[run - 1]) : null;
      const boxes = own.map((t) => ({ ...labelBox(scale(t.points), t.text, page, measure), value: t.value }));
      const minor = axis.minor.filter((_, i) => runOf(axis, axis.minor_values[i]) === run).map(scale);
      const ends = [turn, from].filter(Boolean);
      const clear = boxes.filter((b) => !ends.some((t) => Math.abs(scale(t.points) - b.x) < b.half + 3));
      const labels = ends.length ? thinned(clear) : shownLabels(clear, page);
      const made = strip([...boxes.map((b) => b.tick), ...ends.map((t) => scale(t.points))], minor, labels);
      const beside = turn && turnLabel(turn, own, from, scale, measure);
      if (beside) { made.labels.push(beside); made.turn = scale(turn.points); }
      return made;
    });
  }
  /* The label of a turning point stands beside the end of its line. */
  function turnLabel(turn, own, from, scale, measure) {
    const before = own.length ? own[own.length - 1] : from;
    const side = !before || turn.points >= before.points ? 1 : -1;
    const half = measure(turn.text, sizes.tick) / 2;
    const tick = scale(turn.points);
    return { tick, x: tick + side * (half + 6), half, text: turn.text, row: -1, value: turn.value };
  }
  function axisStrips(variable, axis, range, scale, page, measure) {
    const flat = Math.max(...axis.points) - Math.min(...axis.points) <= 1e-9 * (range[1] - range[0]);
    if (flat) {
      const box = labelBox(scale(axis.points[0]), "any value", page, measure);
      return { strips: [strip([box.tick], [], [box])], flat };
    }
    const strips = variable.kind === "factor" ? levelStrips(axis, scale, page, measure)
      : numberStrips(axis, scale, page, measure);
    return { strips, flat };
  }
  function place(row, top, frame) {
    const first = top + frame.above + (row.cutoff ? 16 : 0) + (row.tall ? frame.more : 0);
    let y = first;
    row.strips.forEach((own, i) => {
      if (i > 0) { y += stripHeight; }
      own.y = y;
      own.below = labelDepth + labelRow * Math.max(0, ...own.labels.map((label) => label.row));
    });
    row.top = top;
    row.y = first;
    const names = frame.wide ? (row.name.length + (row.given.length ? 1 : 0) + 1) * 17 + 8 : 0;
    row.bottom = Math.max(y + row.strips[row.strips.length - 1].below + frame.after, top + names);
    return row.bottom;
  }
  function frameOf(model, width, measure) {
    const wide = width >= wideFrom;
    const labels = [...model.nomogram.groups.flatMap((g) => g.axes), ...model.nomogram.lower];
    const names = labels.map((axis) => Math.max(
      measure(axis.label, sizes.name, true), measure(axis.given_text || "", sizes.tick)));
    const column = clamp(Math.max(...names) + 24, 110, 0.27 * width);
    const [left, right] = wide ? [column + 16, width - 150] : [16, width - 16];
    const page = wide ? { low: left - 16, high: right + 30 } : { low: 0, high: width };
    return wide ? { wide, left, right, page, name: column, above: 16, more: 0, after: 8 }
      : { wide, left, right, page, name: width, above: 34, more: 14, after: 10 };
  }
  /* Rows from top to bottom: points, one per axis, total points, outcomes. */
  function layout(model, width, measure) {
    const drawn = model.nomogram;
    const frame = frameOf(model, width, measure);
    const points = scaleOf(drawn.points_range, frame.left, frame.right);
    const totals = scaleOf(drawn.total_range, frame.left, frame.right);
    const bold = (text, size) => measure(text, size, true);
    const named = (label, more) => {
      const given = more.given || "";
      const room = frame.wide || !given ? frame.name : 0.6 * width;
      const name = frame.wide ? wrapped(label, room, sizes.name, bold) : [shortened(label, room, sizes.name, bold)];
      const left = frame.wide ? frame.name : width - bold(name[0], sizes.name) - 12;
      return {
        flat: false, cutoff: false, ...more, name,
        tall: more.kind === "axis" || (more.kind === "outcome" && bold(label, sizes.name) > width - readingWidth),
        given: given ? [shortened(given, left, sizes.tick, measure)] : [],
      };
    };
    const rows = [named("Points", {
      kind: "points", strips: rulerStrips(drawn.points_axis, drawn.points_range, points, frame.page, measure),
    })];
    drawn.groups.forEach((group, number) => group.axes.forEach((axis) => {
      const variable = byName(model, axis.variable);
      const shown = axisStrips(variable, axis, drawn.points_range, points, frame.page, measure);
      rows.push(named(axis.label, { kind: "axis", group, number, axis, variable, given: axis.given_text, ...shown }));
    }));
    drawn.lower.forEach((ruler) => rows.push(named(ruler.label, {
      kind: ruler.outcome === null ? "total" : "outcome", outcome: ruler.outcome,
      cutoff: ruler.cutoff === true && model.threshold !== null,
      strips: rulerStrips(ruler, drawn.total_range, totals, frame.page, measure),
    })));
    let top = 0;
    rows.forEach((row) => { top = place(row, top, frame); });
    return { rows, frame, points, totals, width, height: top + 4 };
  }

  return { layout, labelY, shortened, curve, axisValues, valueAt, stepped, runOf, valuesAlong, byName, sizes };
})();
