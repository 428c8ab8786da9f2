// Shows as much of a recorded reading as its reader wants; it computes nothing.
"use strict";
(() => {
  const reading = JSON.parse(document.getElementById("reading").textContent);
  const at = (id) => document.getElementById(id);
  const PAUSE = 100; // milliseconds between two pictures
  let shown = -1;
  let timer = null;

  // The text: every token once, coloured; what is not read yet is grey by its class.
  const pieces = [];
  const groups = [];
  const colour = (nats) => {
    const named = nats > 0 ? reading.colours.learning : reading.colours.frozen;
    const strength = 0.75 * Math.min(1, Math.abs(nats) / reading.full);
    const parts = [1, 3, 5].map((i) => parseInt(named.slice(i, i + 2), 16));
    return `rgba(${parts.join(",")},${strength.toFixed(2)})`;
  };
  const gain = (i) => reading.twin[i] === null || reading.nll[i] === null
    ? null : (reading.twin[i] - reading.nll[i]) / 100;
  const write = () => {
    const all = document.createDocumentFragment();
    let start = 0;
    reading.lengths.forEach((length, i) => {
      while (reading.firsts[groups.length] <= i) {
        const group = document.createElement("span");
        group.className = "chunk unread";
        groups.push(all.appendChild(group));
      }
      const piece = document.createElement("span");
      piece.textContent = reading.text.slice(start, start += length);
      if (gain(i) !== null) piece.style.background = colour(gain(i));
      piece.dataset.piece = i;
      pieces.push(groups.at(-1).appendChild(piece));
    });
    for (const i of reading.planted) pieces[i].classList.add("planted");
    const ahead = document.createElement("span");
    ahead.className = "unread";
    ahead.textContent = reading.ahead;
    all.appendChild(ahead);
    at("text").appendChild(all);
  };
  let chosen = null;
  const tell = (event) => {
    const piece = event.target.closest("[data-piece]");
    if (!piece) return;
    if (chosen) chosen.classList.remove("chosen");
    if (event.type === "click") (chosen = piece).classList.add("chosen");
    const i = Number(piece.dataset.piece);
    const nats = (hundredths) => hundredths === null
      ? "not measured" : (hundredths / 100).toFixed(2);
    const unread = piece.parentElement.classList.contains("unread");
    const saved = gain(i);
    at("token").textContent = `“${piece.textContent.replace(/\n/g, "↵")}”: ` + (unread
      ? "not read yet"
      : `${nats(reading.nll[i])} nats with learning, ${nats(reading.twin[i])} ` +
        "without" + (saved === null ? "" :
        `: learning saved ${saved < 0 ? "−" : "+"}${Math.abs(saved).toFixed(2)}`));
  };

  // The figures are drawn whole, once, and then covered up to where we are: a picture
  // costs no drawing, and no axis moves.
  const figures = [];
  const cover = (place) => {
    const axis = place._fullLayout.xaxis;
    const width = Math.max(0, axis.d2p(shown * reading.chunk));
    for (const clip of place.querySelectorAll("clipPath.plotclip rect")) {
      clip.setAttribute("width", ended() ? axis._length : width);
    }
  };
  const prepare = async () => {
    const settings = { displayModeBar: false, responsive: true };
    for (const [name, { data, layout }] of Object.entries(reading.figures)) {
      const place = at(`figure-${name}`);
      Object.assign(layout, { title: undefined, dragmode: false });
      layout.margin = { ...layout.margin, t: 30 };
      await Plotly.newPlot(place, data, layout, settings);
      place.on("plotly_click", (event) => {
        pause();
        show(Math.round(event.points[0].x / reading.chunk));
      });
      place.on("plotly_afterplot", () => cover(place));
      figures.push(place);
    }
  };
  // The place in the reading.
  const ended = () => shown >= reading.chunks;
  const show = (chunk) => {
    const next = Math.max(0, Math.min(reading.chunks, chunk));
    if (next === shown) return;
    const tail = next === reading.chunks ? groups.length : next;
    groups.forEach((group, i) => group.classList.toggle("unread", i >= tail));
    shown = next;
    at("scrubber").value = shown;
    at("scrubber").setAttribute("aria-valuetext", `chunk ${shown}`);
    at("one").disabled = ended();
    const read = ended() ? reading.read : shown * reading.chunk;
    const words = [reading.gain, reading.recall, reading.drift].map((w) => w[shown]);
    at("headline").textContent = [
      `Chunk ${shown.toLocaleString("en")} of ${reading.chunks.toLocaleString("en")}`,
      `${read.toLocaleString("en")} tokens read`,
      ...words.filter(Boolean),
    ].join(" · ");
    follow();
    figures.forEach(cover);
  };
  const follow = () => {
    const text = at("text");
    const last = groups[Math.max(0, shown - 1)];
    const edge = last ? last.offsetTop + last.offsetHeight : 0;
    text.scrollTop = shown ? edge - 0.8 * text.clientHeight : 0;
  };
  const pause = () => {
    clearInterval(timer);
    timer = null;
    at("play").textContent = "Play";
  };
  const step = () => {
    show(shown + Number(at("speed").value));
    if (ended()) pause();
  };
  const toggle = () => {
    if (timer) return pause();
    if (ended()) show(0);
    at("play").textContent = "Pause";
    timer = setInterval(step, PAUSE);
  };
  const go = (chunk) => { pause(); show(chunk); };

  // Keys act unless a control has a use for them.
  const KEYS = {
    " ": toggle,
    ArrowRight: () => go(shown + 1),
    ArrowLeft: () => go(shown - 1),
    Home: () => go(0),
    End: () => go(reading.chunks),
  };
  const needed = (key, element) => {
    if (element.matches("select")) return true;
    if (key === " ") return element.matches("button, a, summary");
    return element.matches("input[type=range]") ||
      (element.id === "text" && ["Home", "End"].includes(key));
  };
  document.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    if (needed(event.key, event.target)) return;
    event.preventDefault();
    act();
  });

  // Marks lie on the scrubber's line; where few have words, they take two rows in turn.
  const mark = () => {
    const few = reading.events.length <= 4;
    reading.events.forEach(({ at: place, label }, i) => {
      const one = document.createElement("span");
      const share = Math.min(1, place / reading.chunks);
      one.textContent = few ? label : "";
      one.title = label;
      one.style.left = `${100 * share}%`;
      one.className = (share > 0.5 ? "left" : "") + (i % 2 ? " lower" : "");
      at("events").appendChild(one);
    });
  };
  const begin = async () => {
    write();
    mark();
    at("scrubber").max = reading.chunks;
    at("reset").onclick = () => go(0);
    at("play").onclick = toggle;
    at("one").onclick = () => go(shown + 1);
    at("scrubber").oninput = () => go(Number(at("scrubber").value));
    at("text").addEventListener("click", tell);
    at("text").addEventListener("pointerover", tell);
    await prepare();
    show(reading.chunks);
  };
  begin();
})();
