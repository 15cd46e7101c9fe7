"use strict";
/* The live nomogram: markers, guides and readings follow a patient, and a patient the markers. */
const usstatsNomogram = (() => {
  const leastWidth = 280;
  const dragFrom = 5;
  const beyond = 12;
  const keys = {
    ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10,
  };
  const { setAll } = usstatsDrawing;

  function moveTo(marker, x, y) {
    marker.style.transform = `translate(${x}px, ${y}px)`;
    marker.place = { x, y };
  }

  function create(root, model, words, setValues) {
    const { groups, lp_at_zero: zero, points_per_lp: scale } = model.nomogram;
    const state = { values: new Map(), answer: null, active: null };
    let drawn = null;

    /* ---- where a patient stands ---- */
    const isKnown = (name) => state.values.has(name) && state.values.get(name) !== null;
    /* A group of axes: which of them the patient is read off, and what it says. */
    function readingOf(number) {
      const group = groups[number];
      const full = new Map(model.variables.map((v) => (
        [v.name, isKnown(v.name) ? state.values.get(v.name) : v.typical])));
      const { position, exact } = usstatsModel.axisOf(group, full);
      const axis = group.axes[position];
      const names = [axis.variable, ...group.held.map((own) => own.name)];
      return {
        axis, exact, full, known: names.every(isKnown), value: full.get(axis.variable),
        points: usstatsModel.groupPoints(model, group, full),
      };
    }
    const rowOf = (read) => drawn.rows.find((row) => row.axis === read.axis);
    const within = (x) => Math.min(Math.max(x, drawn.frame.left - beyond), drawn.frame.right + beyond);
    function placeOf(row, read) {
      const run = Math.min(usstatsAxes.runOf(row.axis, read.value), row.strips.length - 1);
      return { x: within(drawn.points(read.points)), y: row.strips[run].y };
    }
    function setLine(line, shown, x1, y1, x2, y2) {
      line.classList.toggle("hidden", !shown);
      if (shown) { setAll(line, { x1, y1, x2, y2 }); }
    }

    /* ---- what follows the patient ---- */
    function updateMarker(marker, number) {
      const read = readingOf(number);
      const row = rowOf(read);
      const { x, y } = placeOf(row, read);
      marker.classList.toggle("unset", !read.known);
      marker.classList.toggle("between", read.known && !read.exact);
      marker.classList.toggle("outside", read.known && usstatsModel.isOutside(row.variable, read.value));
      moveTo(marker, x, y);
      drawn.rows.filter((other) => other.number === number).forEach((other) => {
        const mine = other === row;
        other.node.classList.toggle("other", read.known && !mine);
        other.value.textContent = mine ? valueText(row) : "";
        other.reading.textContent = mine && read.known ? words.points(read.points) : "";
      });
      describe(marker, row, read);
    }
    function valueText(row) {
      const text = words.value(row.variable, state.values.get(row.axis.variable));
      const room = drawn.frame.wide ? drawn.frame.name + 8 : drawn.width - 110;
      const bold = (shown, size) => drawn.measure(shown, size, true);
      return usstatsAxes.shortened(text, room, usstatsAxes.sizes.name, bold);
    }
    function describe(marker, row, read) {
      const values = usstatsAxes.valuesAlong(row.variable, row.axis);
      const numeric = row.variable.kind === "number";
      const given = row.axis.given_text ? ` (${row.axis.given_text})` : "";
      const unit = row.variable.unit ? `, ${row.variable.unit}` : "";
      const said = `${words.value(row.variable, read.value)}, ${words.points(read.points)}`;
      setAll(marker, {
        "aria-label": row.axis.label + given + unit,
        "aria-valuemin": numeric ? values[0] : 0,
        "aria-valuemax": numeric ? values[values.length - 1] : values.length - 1,
        "aria-valuenow": numeric ? read.value : values.indexOf(read.value),
        "aria-valuetext": read.known ? said : "not entered",
      });
    }
    function updateLower() {
      const { answer } = state;
      const x = answer === null ? 0 : within(drawn.totals(answer.total));
      drawn.lower.forEach((row) => {
        const { y } = row.strips[0];
        row.dot.classList.toggle("hidden", answer === null);
        moveTo(row.dot, x, y);
        if (row.kind === "outcome") {
          updateOutcome(row, answer === null ? null : answer.outcomes[row.outcome], y);
        } else {
          row.reading.textContent = answer === null ? "" : words.points(answer.total);
        }
      });
      const ys = drawn.lower.map((row) => row.strips[0].y);
      setLine(drawn.sum, answer !== null, x, ys[0], x, ys[ys.length - 1]);
    }
    function updateOutcome(row, read, y) {
      const outcome = model.outcomes[row.outcome];
      const limits = read === null ? "" : words.limits(outcome, read);
      const beside = row.limits === null && limits ? ` (${limits})` : "";
      row.reading.textContent = read === null ? "" : words.outcome(outcome, read.estimate) + beside;
      if (row.limits !== null) { row.limits.textContent = limits; }
      const shown = read !== null && read.from !== null;
      row.interval.classList.toggle("hidden", !shown);
      if (!shown) { return; }
      const [from, to] = [read.from, read.to].map((lp) => within(drawn.totals((lp - zero) * scale)));
      setAll(row.interval, { d: `M${from} ${y - 7}v14m0 -7H${to}m0 -7v14` });
    }
    /* The line on which a marker's points are read. */
    function updateGuide() {
      const read = state.active === null ? null : readingOf(state.active);
      const shown = read !== null && read.known;
      const { x, y } = shown ? placeOf(rowOf(read), read) : { x: 0, y: 0 };
      setLine(drawn.guide, shown, x, drawn.rows[0].y, x, y);
      drawn.rows[0].reading.textContent = shown ? words.points(read.points) : "";
    }
    function activate(number) {
      state.active = number;
      updateGuide();
    }
    function update(values, answer) {
      Object.assign(state, { values, answer });
      drawn.markers.forEach(updateMarker);
      updateLower();
      updateGuide();
    }

    /* ---- what the patient follows ---- */
    function pointOf(event) {
      const box = root.getBoundingClientRect();
      const zoom = drawn.width / box.width;
      return { x: (event.clientX - box.left) * zoom, y: (event.clientY - box.top) * zoom };
    }
    /* The value whose printed label was touched. */
    function labelledValue(row, at) {
      const hit = (strip, label) => Math.abs(at.x - label.x) <= label.half + 3
        && Math.abs(at.y - usstatsAxes.labelY(strip, label) + 4) <= 8;
      const touched = row.strips.flatMap((strip) => strip.labels.filter((label) => hit(strip, label)));
      return touched.length ? touched[0].value : undefined;
    }
    /* Sets the variable of an axis; those that choose among axes too, where it is another one. */
    function moveOn(row, at, tapped) {
      const read = readingOf(row.number);
      const held = read.axis === row.axis ? read.full
        : usstatsAxes.axisValues(row.group, row.axis, read.full);
      const labelled = tapped ? labelledValue(row, at) : undefined;
      const curve = usstatsAxes.curve(model, row.group, row.axis, held);
      set(row, held, labelled !== undefined ? labelled
        : usstatsAxes.valueAt(row.variable, row, curve, drawn.points, at, read.value));
    }
    function set(row, held, value) {
      const changes = new Map(row.group.held.map(({ name }) => [name, held.get(name)]));
      setValues(changes.set(row.axis.variable, value));
    }
    function pressed(event, number) {
      const read = readingOf(number);
      const row = rowOf(read);
      const values = usstatsAxes.valuesAlong(row.variable, row.axis);
      const ends = { Home: values[0], End: values[values.length - 1] };
      const meant = event.key in keys || event.key in ends;
      if (!meant || event.ctrlKey || event.metaKey || event.altKey) { return; }
      event.preventDefault();
      const next = read.known ? usstatsAxes.stepped(row.variable, row.axis, read.value, keys[event.key] || 0)
        : row.variable.usual;
      set(row, read.full, event.key in ends ? ends[event.key] : next);
    }
    /* A mouse moves at once; a finger when it goes sideways or is lifted, so that pages scroll. */
    function follow(target, number, ownRow) {
      let held = null;
      const release = () => {
        held = null;
        root.classList.remove("dragging");
      };
      const apart = (event, at) => {
        const [dx, dy] = [Math.abs(at.x - held.from.x), Math.abs(at.y - held.from.y)];
        if (event.pointerType === "mouse") { return Math.hypot(dx, dy); }
        return dx > dy ? dx : -dy;
      };
      target.addEventListener("pointerdown", (event) => {
        const row = ownRow || rowOf(readingOf(number));
        if (event.button !== 0 || row.flat) { return; }
        const from = pointOf(event);
        const off = ownRow ? { x: 0, y: 0 } : { x: from.x - target.place.x, y: from.y - target.place.y };
        held = { row, from, off, id: event.pointerId, moving: false };
        target.setPointerCapture(event.pointerId);
        root.classList.add("dragging");
        drawn.markers[number].focus({ preventScroll: true });
        if (event.pointerType !== "mouse") { return; }
        event.preventDefault();
        if (ownRow) { moveOn(row, from, true); }
      });
      target.addEventListener("pointermove", (event) => {
        if (held === null || event.pointerId !== held.id) { return; }
        const at = pointOf(event);
        held.moving = held.moving || apart(event, at) >= dragFrom;
        if (held.moving) {
          moveOn(held.row, { x: at.x - held.off.x, y: at.y - held.off.y }, false);
        } else if (apart(event, at) <= -2 * dragFrom) {
          release();
        }
      });
      target.addEventListener("pointerup", (event) => {
        const tapped = held !== null && !held.moving && ownRow && event.pointerType !== "mouse";
        if (tapped) { moveOn(held.row, pointOf(event), true); }
        release();
      });
      target.addEventListener("pointercancel", release);
    }
    function listen(marker, number) {
      follow(marker, number, null);
      marker.addEventListener("keydown", (event) => pressed(event, number));
      marker.addEventListener("focus", () => activate(number));
      marker.addEventListener("blur", () => activate(null));
      marker.addEventListener("pointerenter", () => activate(number));
      marker.addEventListener("pointerleave", () => {
        const focused = drawn.markers.indexOf(document.activeElement);
        activate(focused < 0 ? null : focused);
      });
    }

    /* Draws everything anew for a width; the focus stays where it was. */
    function build(width) {
      const focused = drawn === null ? -1 : drawn.markers.indexOf(document.activeElement);
      if (focused >= 0) { document.activeElement.blur(); }
      const room = Math.max(Math.floor(root.parentElement.clientWidth), leastWidth);
      drawn = usstatsDrawing.draw(root, model, width || room, words.cutoff());
      drawn.markers.forEach(listen);
      drawn.rows.filter((row) => row.band).forEach((row) => follow(row.band, row.number, row));
      update(state.values, state.answer);
      if (focused >= 0) { drawn.markers[focused].focus({ preventScroll: true }); }
    }

    build();
    return { update, build };
  }

  return { create };
})();
