"use strict";
// The report works without this script; it adds sorting and the 3-D views.

// ---- sortable tables -------------------------------------------------------------------------------
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.cells[column].dataset.value;
    const rows = [...table.tBodies[0].rows].sort((one, two) => {
      const a = value(one), b = value(two);
      if (a === "" || b === "") return (a === "") - (b === ""); // the unknown stays at the end
      const order = head.dataset.kind === "number" ? a - b : a.localeCompare(b);
      return up ? order : -order;
    });
    table.tBodies[0].append(...rows);
  }));
}

// ---- 3-D views: made when scrolled to, taken down when gone, for browsers allow about 16 at a time ---
const MOST_VIEWS = 8;
const live = new Map(); // view element -> its Plotly element

function webgl() {
  const context = document.createElement("canvas").getContext("webgl");
  if (!context) return false;
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return true;
}

let plotly; // a promise, so that it is unpacked once
function loadPlotly() {
  plotly ??= (async () => {
    const packed = document.getElementById("plotly-packed").textContent.trim();
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script"); // its hash is in the page's security policy
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    if (!window.Plotly) throw new Error("Plotly did not start");
    return window.Plotly;
  })();
  return plotly;
}

// Unit sphere: an icosahedron whose faces are split twice (162 corners).
const SPHERE = (() => {
  const g = (1 + Math.sqrt(5)) / 2;
  let points = [[-1, g, 0], [1, g, 0], [-1, -g, 0], [1, -g, 0], [0, -1, g], [0, 1, g], [0, -1, -g], [0, 1, -g],
    [g, 0, -1], [g, 0, 1], [-g, 0, -1], [-g, 0, 1]];
  let faces = [[0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4], [11, 10, 2],
    [10, 7, 6], [7, 1, 8], [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9], [4, 9, 5], [2, 4, 11], [6, 2, 10],
    [8, 6, 7], [9, 8, 1]];
  const unit = (p) => { const n = Math.hypot(...p); return p.map((v) => v / n); };
  points = points.map(unit);
  for (let round = 0; round < 2; round++) {
    const seen = new Map();
    const middle = (i, j) => {
      const key = i < j ? `${i},${j}` : `${j},${i}`;
      if (!seen.has(key)) seen.set(key, points.push(unit(points[i].map((v, k) => v + points[j][k]))) - 1);
      return seen.get(key);
    };
    faces = faces.flatMap(([a, b, c]) => {
      const ab = middle(a, b), bc = middle(b, c), ca = middle(c, a);
      return [[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]];
    });
  }
  return { points, faces };
})();

// In orthographic projection Plotly takes the light's place relative to the eye, with z away from it.
const LIGHT = { ambient: 0.45, diffuse: 0.6, specular: 0.9, roughness: 0.3, fresnel: 0.05, vertexnormalsepsilon: 0,
  facenormalsepsilon: 0 };
const LAMP = { x: -6e4, y: 8e4, z: -1e5 };

function mesh(colour, name) {
  return { type: "mesh3d", x: [], y: [], z: [], i: [], j: [], k: [], text: [], color: colour, name, flatshading: false,
    lighting: LIGHT, lightposition: LAMP, hoverinfo: "text", showscale: false };
}

function addSphere(to, centre, radius, label) {
  const start = to.x.length;
  for (const p of SPHERE.points) {
    to.x.push(centre[0] + radius * p[0]); to.y.push(centre[1] + radius * p[1]); to.z.push(centre[2] + radius * p[2]);
    to.text.push(label);
  }
  for (const f of SPHERE.faces) { to.i.push(start + f[0]); to.j.push(start + f[1]); to.k.push(start + f[2]); }
}

function addStick(to, a, b, radius, label) {
  const along = b.map((v, n) => v - a[n]);
  const size = Math.hypot(...along);
  if (size < 1e-6) return;
  const w = along.map((v) => v / size);
  const helper = Math.abs(w[2]) < 0.9 ? [0, 0, 1] : [1, 0, 0];
  const cross = (p, q) => [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
  let u = cross(w, helper);
  const n = Math.hypot(...u);
  u = u.map((v) => v / n);
  const v = cross(w, u), sides = 10, start = to.x.length;
  for (const end of [a, b]) {
    for (let s = 0; s < sides; s++) {
      const c = radius * Math.cos(2 * Math.PI * s / sides), d = radius * Math.sin(2 * Math.PI * s / sides);
      to.x.push(end[0] + c * u[0] + d * v[0]); to.y.push(end[1] + c * u[1] + d * v[1]); to.z.push(end[2] + c * u[2] + d * v[2]);
      to.text.push(label);
    }
  }
  for (let s = 0; s < sides; s++) {
    const t = (s + 1) % sides;
    to.i.push(start + s, start + t); to.j.push(start + t, start + sides + t); to.k.push(start + sides + s, start + sides + s);
  }
}

function traces(scene) {
  const style = getComputedStyle(document.documentElement);
  const soft = style.getPropertyValue("--soft").trim();
  const meshes = scene.elements.map((element) => mesh(element.colour, element.symbol));
  for (const [x, y, z, kind, label] of scene.atoms) {
    addSphere(meshes[kind], [x, y, z], scene.elements[kind].radius, scene.labels[label]);
  }
  for (const s of scene.sticks) addStick(meshes[s[6]], s.slice(0, 3), s.slice(3, 6), 0.09, scene.elements[s[6]].symbol);
  const corner = (a, b, c) => scene.origin.map((v, n) => v + a * scene.cell[0][n] + b * scene.cell[1][n] + c * scene.cell[2][n]);
  const edges = { type: "scatter3d", mode: "lines", x: [], y: [], z: [], line: { color: soft, width: 3 }, hoverinfo: "skip" };
  const ends = [[0, 0], [0, 1], [1, 0], [1, 1]];
  for (const [p, q] of ends) {
    for (const pair of [[[0, p, q], [1, p, q]], [[p, 0, q], [p, 1, q]], [[p, q, 0], [p, q, 1]]]) {
      for (const point of pair.map((index) => corner(...index)).concat([[null, null, null]])) {
        edges.x.push(point[0]); edges.y.push(point[1]); edges.z.push(point[2]);
      }
    }
  }
  const names = { type: "scatter3d", mode: "text", x: [], y: [], z: [], text: ["a", "b", "c"], hoverinfo: "skip",
    textfont: { size: 15, color: soft } };
  scene.cell.forEach((vector) => {
    let clear = 0.7; // angstrom beyond the corner, and beyond the atom that may sit there
    for (const atom of scene.atoms) {
      const radius = scene.elements[atom[3]].radius;
      if (Math.hypot(...vector.map((v, n) => scene.origin[n] + v - atom[n])) < radius) clear = 0.7 + radius;
    }
    const out = 1 + clear / Math.hypot(...vector);
    names.x.push(scene.origin[0] + out * vector[0]); names.y.push(scene.origin[1] + out * vector[1]);
    names.z.push(scene.origin[2] + out * vector[2]);
  });
  return [...meshes, edges, names];
}

// Looks from where the flat picture does.
const EYE = (() => { const e = [1, 0.42, 0.36], n = Math.hypot(...e); return e.map((v) => v / n); })();

const FILL = 1.55; // fills about four fifths of the view

function layout(scene, aspect) {
  const across = [-EYE[1], EYE[0], 0].map((v) => v / Math.hypot(EYE[0], EYE[1]));
  const dot = (p, q) => p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
  let reach = 0, screen = 0;
  for (const atom of scene.atoms) {
    const radius = scene.elements[atom[3]].radius, side = Math.abs(dot(atom, across)), deep = dot(atom, EYE);
    const rise = Math.sqrt(Math.max(0, dot(atom, atom) - side * side - deep * deep));
    reach = Math.max(reach, Math.hypot(atom[0], atom[1], atom[2]) + radius);
    screen = Math.max(screen, (side + radius) / aspect, rise + radius);
  }
  reach += 2; // room for the letters of the axes
  const axis = { visible: false, showspikes: false, range: [-reach, reach] };
  const size = FILL * reach / screen; // without perspective, the size of the box sets the zoom, not the distance
  return {
    margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, paper_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
    scene: { xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: "manual",
      aspectratio: { x: size, y: size, z: size }, dragmode: "orbit", bgcolor: "rgba(0,0,0,0)",
      camera: { eye: { x: 3 * EYE[0], y: 3 * EYE[1], z: 3 * EYE[2] }, up: { x: 0, y: 0, z: 1 },
        projection: { type: "orthographic" } } },
  };
}

async function show(view) {
  if (live.has(view)) return;
  const target = view.querySelector(".solid");
  live.set(view, target);
  while (live.size > MOST_VIEWS) hide(live.keys().next().value);
  try {
    const Plotly = await loadPlotly();
    if (!live.has(view)) return; // scrolled away meanwhile
    const scene = JSON.parse(document.getElementById(view.dataset.scene).textContent);
    await Plotly.newPlot(target, traces(scene), layout(scene, target.clientWidth / target.clientHeight), { displayModeBar: false, responsive: true });
    if (live.has(view)) view.classList.add("live");
  } catch (error) {
    console.error(error);
    hide(view); // the flat picture stays
  }
}

function hide(view) {
  const target = live.get(view);
  live.delete(view);
  view.classList.remove("live");
  if (!target || !window.Plotly) return;
  const canvases = [...target.querySelectorAll("canvas")];
  window.Plotly.purge(target);
  for (const canvas of canvases) { // hand the context back now, not at the next garbage collection
    (canvas.getContext("webgl") || canvas.getContext("webgl2"))?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

// The wheel scrolls the page until a structure is clicked; then it zooms, until the pointer leaves.
function tameWheel(view) {
  let held = false;
  view.addEventListener("pointerdown", () => { held = true; });
  view.addEventListener("pointerleave", () => { held = false; });
  view.addEventListener("wheel", (event) => { if (!held) event.stopPropagation(); }, { capture: true });
}

// A finger that scrolls the page must not get caught: on touch screens a view turns 3-D when tapped.
function waitForTap(view) {
  const hint = document.createElement("div");
  hint.className = "hint";
  hint.textContent = "tap for 3-D";
  view.append(hint);
  view.addEventListener("click", () => show(view));
}

const views = [...document.querySelectorAll(".view")];
if (views.length && "IntersectionObserver" in window && "DecompressionStream" in window && webgl()) {
  const touch = matchMedia("(pointer: coarse)").matches;
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) hide(entry.target);
      else if (!touch) show(entry.target);
    }
  }, { rootMargin: "150px" });
  for (const view of views) {
    tameWheel(view);
    if (touch) waitForTap(view);
    observer.observe(view);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const view of [...live.keys()]) { hide(view); show(view); }
  });
}
