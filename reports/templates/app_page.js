"use strict";
/* The page: an image is looked at, cropped, read; what is said of the patient follows. */
(() => {
  const byId = (id) => document.getElementById(id);
  const app = JSON.parse(byId("app").textContent);
  const colours = usstatsMap.palette(app.colours);
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const wholeImage = app.looks_at_region ? 0.7 : 1;
  const state = { entries: [], active: null, busy: false, round: 0 };

  /* ---- words ---- */
  function percent(p, digits = 1) {
    const least = (10 ** -digits).toFixed(digits);
    const shown = (100 * p).toFixed(digits);
    if (Number(shown) === 0 && p > 0) { return `<${least}%`; }
    if (Number(shown) === 100 && p < 1) { return `>${(100 - 10 ** -digits).toFixed(digits)}%`; }
    return `${shown}%`;
  }
  const counted = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const verdicts = {
    unsure: "Unsure",
    above: "At or above the cut-off",
    below: "Below the cut-off",
  };
  function meaning(answer) {
    if (answer.verdict === "unsure") {
      return `Inside the band of ${percent(app.low)} to ${percent(app.high)} around the frozen cut-off of `
        + `${percent(app.cutoff)}: the networks leave this one to people.`;
    }
    return `Frozen cut-off ${percent(app.cutoff)}; outside the band in which the networks are unsure.`;
  }

  /* ---- talking to the server ---- */
  async function ask(path, kind, body) {
    let response;
    try {
      response = await fetch(path, { method: "POST", headers: { "Content-Type": kind }, body });
    } catch {
      throw new Error("The server does not answer. Is it still running?");
    }
    if (!response.ok) {
      const told = await response.json().catch(() => null);
      throw new Error(told === null ? `The server refused (${response.status}).` : told.error.message);
    }
    return response;
  }
  const send = (path, file) => ask(path, "application/octet-stream", file);

  async function look(file) {
    if (file.size > app.max_bytes) {
      throw new Error(`The file has ${(file.size / 1e6).toFixed(1)} MB; at most ${app.max_bytes / 1e6} MB are taken.`);
    }
    const response = await send("/look", file);
    const bitmap = await createImageBitmap(await response.blob());
    const [width, height] = ["Width", "Height"].map((name) => Number(response.headers.get(`X-Image-${name}`)));
    return { file, bitmap, size: { width, height }, box: null, reading: null };
  }
  async function combine(entries) {
    const images = entries.map(({ reading }) => (
      { probability: reading.probability, members: reading.members }));
    return (await ask("/combine", "application/json", JSON.stringify({ images }))).json();
  }

  /* ---- one thing at a time ---- */
  async function during(what, work) {
    if (state.busy) { return; }
    const round = state.round;
    setBusy(true, what);
    byId("fault").textContent = "";
    try {
      await work(() => round === state.round);
    } catch (error) {
      if (round === state.round) { byId("fault").textContent = error.message; }
    } finally {
      setBusy(false, "");
    }
  }
  function setBusy(busy, what) {
    state.busy = busy;
    document.body.classList.toggle("busy", busy);
    ["camera", "file", "read", "another", "add"].forEach((id) => { byId(id).disabled = busy; });
    byId("hint").textContent = busy ? what : hint();
    byId("stage").setAttribute("aria-busy", String(busy));
  }
  function hint() {
    const entry = state.active;
    if (entry === null) { return "Nothing is kept: the image is read in memory and forgotten."; }
    if (entry.reading !== null && entry.reading.known) {
      return "This very file was among the development images: the networks know it, so its probability is too good.";
    }
    if (entry.reading !== null) { return "Move the region and read it again, or add an image."; }
    return app.looks_at_region ? "Put the frame close around the organ or lesion; the network adds a margin."
      : "Put the frame around the ultrasound image, without the rest of the screen.";
  }

  /* ---- the image ---- */
  const edges = ["left", "top", "right", "bottom"];
  const crop = usstatsCrop.create({
    stage: byId("stage"), canvas: byId("picture"), overlay: byId("overlay"), frame: byId("frame"),
    handles: [...document.querySelectorAll(".handle")],
    inputs: Object.fromEntries(edges.map((edge) => [edge, byId(edge)])),
  }, {
    least: app.min_side,
    share: wholeImage,
    changed: (box) => { state.active.box = box; },
  });
  function activate(entry) {
    state.active = entry;
    byId("empty").hidden = entry !== null;
    byId("choose").hidden = entry !== null;
    byId("decide").hidden = entry === null;
    byId("exact").hidden = entry === null;
    if (entry === null) { crop.clear(); } else { entry.box = crop.show(entry.bitmap, entry.size, entry.box); }
    byId("hint").textContent = hint();
    byId("read").textContent = entry !== null && entry.reading !== null ? "Read again" : "Read region";
    showImages();
  }
  function chosen(event) {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) { return; }
    during("Looking at the image …", async (current) => {
      const entry = await look(file);
      if (!current()) { return; }
      activate(entry);
      byId("frame").focus({ preventScroll: true });
    });
  }
  function readActive() {
    const entry = state.active;
    during("Reading …", async (current) => {
      const box = edges.map((edge) => entry.box[edge]);
      const response = await send(`/read?box=${box.join(",")}`, entry.file);
      const reading = await response.json();
      const entries = state.entries.includes(entry) ? state.entries : [...state.entries, entry];
      const before = entry.reading;
      entry.reading = reading;
      try {
        const answer = await combine(entries);
        if (!current()) { return; }
        state.entries = entries;
        activate(entry);
        showAnswer(answer);
        showMap(entry);
        byId("result").scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
      } catch (error) {
        entry.reading = before;
        throw error;
      }
    });
  }
  function remove(entry) {
    const rest = state.entries.filter((other) => other !== entry);
    if (!rest.length) { restart(); return; }
    during("Removing the image …", async (current) => {
      const answer = await combine(rest);
      if (!current()) { return; }
      state.entries = rest;
      entry.reading = null;
      if (state.active === entry) { activate(rest[rest.length - 1]); } else { showImages(); }
      showAnswer(answer);
      showMap(rest.includes(state.active) ? state.active : rest[rest.length - 1]);
    });
  }
  function restart() {
    state.round += 1;
    state.entries = [];
    byId("fault").textContent = "";
    activate(null);
    showAnswer(null);
    showMap(null);
  }

  /* ---- the answer ---- */
  function at(id, from, to = null) {
    const { style } = byId(id);
    style.left = `${100 * from}%`;
    if (to !== null) { style.width = `${100 * (to - from)}%`; }
  }
  function showAnswer(answer) {
    const set = (id, text) => { byId(id).textContent = text; };
    byId("result").dataset.verdict = answer === null ? "" : answer.verdict;
    document.body.classList.toggle("read", answer !== null);
    set("probability", answer === null ? "\u2013" : percent(answer.probability));
    byId("probability").value = answer === null ? "\u2013" : percent(answer.probability);
    byId("probability").dataset.value = answer === null ? "" : String(answer.probability);
    set("verdict", answer === null ? "" : verdicts[answer.verdict]);
    set("range", answer === null ? "Read an image to see its probability." : rangeText(answer));
    set("meaning", answer === null ? "" : meaning(answer));
    if (answer !== null) {
      at("dot", answer.probability);
      at("spread", answer.low, answer.high);
    }
    fillNomogram(answer);
    set("app-spoken", answer === null ? "" : ["probability", "verdict", "range", "meaning"]
      .map((id) => byId(id).textContent).join(". ").replace(/\.\./g, "."));
  }
  function rangeText(answer) {
    const images = answer.n_images === 1 ? "" : `, over ${counted(answer.n_images, "image")}`;
    return `${percent(answer.low)} to ${percent(answer.high)} by the ${counted(app.n_networks, "fold network")} `
      + `one by one${images}. How much they differ; not a confidence interval.`;
  }
  function fillNomogram(answer) {
    const form = byId("form");
    if (form === null || app.image_variable === null) { return; }
    const detail = answer === null ? { name: app.image_variable, value: null, text: "", source: "" }
      : { name: app.image_variable, value: answer.probability,
        text: String(Number(answer.probability.toPrecision(4))), source: answer.n_images === 1 ? "from the image" : "from the images" };
    form.dispatchEvent(new CustomEvent("usstats:value", { detail }));
  }
  function showMap(entry) {
    const canvas = byId("map");
    state.mapped = entry;
    byId("blank").hidden = entry !== null && entry.reading.map !== null;
    canvas.hidden = entry === null;
    usstatsMap.drawBar(byId("colours"), colours, opacity());
    if (entry === null) {
      canvas.setAttribute("aria-label", "No image has been read yet");
      byId("blank").textContent = "The map appears when an image has been read.";
      return;
    }
    byId("blank").textContent = "This network gives no map of its evidence.";
    canvas.setAttribute("aria-label", entry.reading.map === null ? "The region that was read"
      : "The region that was read, and over it where the evidence lies");
    usstatsMap.draw(canvas, entry, colours, opacity());
  }
  const opacity = () => Number(byId("opacity").value) / 100;

  /* ---- the patient's images ---- */
  function element(name, attributes, ...content) {
    const made = document.createElement(name);
    Object.keys(attributes).forEach((key) => made.setAttribute(key, attributes[key]));
    made.append(...content);
    return made;
  }
  function thumbnail(entry) {
    const canvas = element("canvas", { width: 96, height: 96, "aria-hidden": "true" });
    const [left, top, right, bottom] = entry.reading.seen;
    const scale = entry.bitmap.width / entry.size.width;
    const side = Math.min(right - left, bottom - top);
    canvas.getContext("2d").drawImage(entry.bitmap, ((left + right - side) / 2) * scale,
      ((top + bottom - side) / 2) * scale, side * scale, side * scale, 0, 0, 96, 96);
    return canvas;
  }
  function imageItem(entry, i) {
    const shown = percent(entry.reading.probability);
    const open = element("button", { type: "button", class: "thumb", "aria-pressed": String(entry === state.active),
      "aria-label": `Image ${i + 1}, ${shown} by itself; show it` }, thumbnail(entry), element("span", {}, shown));
    const drop = element("button", { type: "button", class: "drop", "aria-label": `Remove image ${i + 1}` }, "\u00d7");
    open.addEventListener("click", () => {
      if (state.busy) { return; }
      activate(entry);
      showMap(entry);
    });
    drop.addEventListener("click", () => remove(entry));
    return element("li", {}, open, drop);
  }
  function showImages() {
    byId("patient").hidden = state.entries.length === 0;
    byId("add").hidden = state.entries.length >= app.max_images;
    byId("images").replaceChildren(...state.entries.map(imageItem));
  }

  /* ---- beginning ---- */
  byId("camera").addEventListener("change", chosen);
  byId("file").addEventListener("change", chosen);
  byId("read").addEventListener("click", readActive);
  byId("another").addEventListener("click", () => activate(null));
  byId("add").addEventListener("click", () => {
    activate(null);
    byId("stage").scrollIntoView({ block: "center" });
    byId("file").focus({ preventScroll: true });
  });
  byId("new").addEventListener("click", () => {
    restart();
    byId("stage").scrollIntoView({ block: "center" });
  });
  byId("opacity").addEventListener("input", () => showMap(state.mapped));
  at("band", app.low, app.high);
  at("cut", app.cutoff);
  byId("cut-text").style.left = `${Math.min(Math.max(100 * app.cutoff, 22), 78)}%`;
  byId("cut-text").textContent = `cut-off ${percent(app.cutoff)}`;
  restart();
  document.body.classList.add("ready");
})();
