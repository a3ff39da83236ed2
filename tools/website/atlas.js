"use strict";
// The atlas: a grid of all channels of a layer, one channel in a dialog, and the channels that stand out on a photo.
// Addresses: #layer, #layer/320, #layer/photos, #layer/goldfish. ATLAS holds what tools/atlas.py measured.

const SIDE = 7; // places on each axis of a photo
const find = id => document.getElementById(id);
const layers = Object.keys(ATLAS);
const dialog = find("channel");
let layer, data, tiles = [], shown = [], under = "", seen = "", place = 0;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function sprite(element, sheet, number, columns, rows) {
  const [x, y] = [number % columns, Math.floor(number / columns)];
  element.style.backgroundImage = `url("${sheet}")`;
  element.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
  element.style.backgroundPosition = `${(100 * x) / (columns - 1 || 1)}% ${(100 * y) / (rows - 1 || 1)}%`;
  return element;
}

const picture = (element, channel) => sprite(element, data.sheet, channel, data.columns, data.rows);
const people = name => name.replace(/^.*\//, "").replace(/^texture_/, "").replace(/_\d+$/, "").replaceAll("_", " ");
const named = channel => (data.names ? `${data.names[channel]} (${channel})` : `channel ${channel}`);
const number = value => (value === null ? "–" : value.toFixed(1));
const says = channel => `${named(channel)}, drive ${number(data.channels[channel].drive)}`;

function tileLink(channel, ...below) {
  const link = make("a", { href: `#${layer}/${channel}`, className: "item" });
  link.append(picture(make("span", { className: "tile", role: "img", ariaLabel: says(channel) }), channel), ...below);
  return link;
}

// ---------------------------------------------------------------------------------------------------- the layer's grid

function enter(name) {
  layer = name;
  data = ATLAS[name];
  tiles = data.channels.map((_, channel) => {
    const tile = make("button", { className: "tile", ariaLabel: says(channel), tabIndex: -1 });
    tile.append(make("span", { textContent: data.names ? data.names[channel] : channel }));
    tile.onclick = () => (location.hash = `${layer}/${channel}`);
    return picture(tile, channel);
  });
  arrange();
}

const SAYS = {
  number: "",
  drive: "How strongly the channel answers to its picture: 0 is a usual photo, 1 the strongest of some 1,000 crops of photos.",
  robust: "The drive that is left when the picture is blurred, saved as a poor JPEG or shifted by a few pixels.",
  likeness: "Neighbours answer to the same photos.",
};

function arrange() {
  const by = find("sort").value, wanted = find("filter").value.trim().toLowerCase();
  const fits = channel => String(channel).startsWith(wanted) || data.names?.[channel].toLowerCase().includes(wanted);
  const order = by === "likeness" ? data.order : [...data.channels.keys()];
  if (by === "drive" || by === "robust") order.sort((a, b) => data.channels[b][by] - data.channels[a][by]);
  shown = order.filter(fits);
  for (const channel of shown) {
    const value = data.channels[channel][by];
    tiles[channel].dataset.value = value === undefined ? "" : number(value);
    tiles[channel].tabIndex = channel === shown[0] ? 0 : -1;
  }
  find("grid").replaceChildren(...shown.map(channel => tiles[channel]));
  find("count").textContent = shown.length === tiles.length ? "" : `${shown.length} of ${tiles.length}`;
  find("sort-says").textContent = SAYS[by];
}

function move(event, items) {
  const at = items.indexOf(document.activeElement), columns = items.findIndex(item => item.offsetTop > items[0].offsetTop);
  const row = columns < 0 ? items.length : columns;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, Home: -at, End: items.length - 1 - at };
  const next = items[at + step[event.key]];
  if (at < 0 || !(event.key in step)) return;
  event.preventDefault();
  if (!next) return;
  items[at].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

// ---------------------------------------------------------------------------------------------------------- a channel

function open(channel) {
  const { drive, robust, strongest, nearest } = data.channels[channel];
  picture(find("picture"), channel).ariaLabel = `The picture of ${named(channel)}`;
  find("channel-name").textContent = `${data.title}, ${named(channel)}`;
  find("numbers").replaceChildren(
    make("p", {}, make("b", { textContent: `Drive ${number(drive)}` }), drive === null
      ? ". The photos do not differ for this channel."
      : `. The picture raises the channel ${number(drive)} times as far above a usual photo as the strongest of some 1,000 crops does.`),
    make("p", {}, make("b", { textContent: `Robust drive ${number(robust)}` }), ". What is left of it after a blur, a poor JPEG or a small shift, whichever costs most."),
  );
  axis(drive, robust, strongest);
  find("strongest").replaceChildren(...strongest.map(([crop, value]) => {
    const source = data.crops.sources[crop], name = people(source);
    const image = make("span", { className: "tile", role: "img", ariaLabel: `Crop of the photo ${name}` });
    const item = make(source in data.photos ? "a" : "span", { className: "item" });
    if (source in data.photos) item.href = `#${layer}/${source}`;
    item.append(sprite(image, data.crops.sheet, crop, data.crops.columns, data.crops.rows), name, make("small", { textContent: value.toFixed(2) }));
    return make("li", {}, item);
  }));
  find("nearest").replaceChildren(...nearest.map(other => tileLink(other, data.names ? data.names[other] : String(other))));
  where(channel);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function axis(drive, robust, strongest) {
  const end = Math.max(1.25, drive * 1.08), at = value => `${(100 * Math.max(0, value)) / end}%`;
  const mark = (kind, value, words) => {
    const dot = make("i", { className: kind, title: words });
    dot.dataset.label = { photo: "", stop: value }[kind] ?? number(value);
    dot.style.left = at(value);
    return dot;
  };
  find("axis").replaceChildren(
    ...strongest.map(([, value]) => mark("photo", value, "one of the strongest photos")),
    ...[0, 1].map(value => mark("stop", value, value ? "the strongest photo" : "a usual photo")),
    ...(drive === null ? [] : [mark("robust", robust, "the picture, damaged"), mark("drive", drive, "the picture")]),
  );
  find("axis").ariaLabel = `On an axis from 0, a usual photo, to 1, the strongest, the picture lies at ${number(drive)}, damaged at ${number(robust)}.`;
}

function where(channel) {
  const counts = Object.entries(data.photos)
    .map(([name, { channels }]) => [name, channels.flat().filter(three => three.includes(channel)).length])
    .filter(([, count]) => count)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 5);
  const list = make("div", { className: "strip five" }, ...counts.map(([name, count]) =>
    make("a", { href: `#${layer}/${name}`, className: "item" }, thumbnail(name), people(name),
      make("small", { textContent: count === 1 ? "1 place" : `${count} places` }))));
  find("where").replaceChildren(...(counts.length ? [make("h3", { textContent: "It stands out on" }), list] : []));
}

function step(by) {
  const at = shown.indexOf(Number(location.hash.split("/")[1]));
  const next = shown[(at + by + shown.length) % shown.length];
  if (next !== undefined) location.replace(`#${layer}/${next}`);
}

// ----------------------------------------------------------------------------------------------------------- a photo

const thumbnail = name =>
  make("img", { src: `photos/${name}.jpg`, alt: `Photo: ${people(name)}`, width: 96, height: 96, loading: "lazy" });

function listPhotos() {
  find("photos").replaceChildren(...Object.keys(data.photos).map(name =>
    make("li", {}, make("a", { href: `#${layer}/${name}`, className: "item" }, thumbnail(name), people(name)))));
}

function openPhoto(name) {
  const { channels, by } = data.photos[name];
  if (seen !== name) place = by.flat().reduce((best, [first], at, all) => (first > all[best][0] ? at : best), 0);
  seen = name;
  const cells = kind => [...Array(SIDE * SIDE).keys()].map(index => {
    const cell = make(kind, { onpointerenter: () => choose(name, index), onfocus: () => choose(name, index) });
    cell.onclick = event => choose(name, index, kind === "button" && event.pointerType !== "touch");
    return cell;
  });
  find("photo-name").textContent = people(name);
  find("photo-back").href = `#${layer}/photos`;
  Object.assign(find("photo"), { src: `photos/${name}.jpg`, alt: `Photo: ${people(name)}` });
  const mosaic = cells("button");
  mosaic.forEach((cell, index) => {
    const [best] = channels[Math.floor(index / SIDE)][index % SIDE];
    picture(cell, best).className = "tile";
    cell.ariaLabel = `Row ${Math.floor(index / SIDE) + 1}, column ${(index % SIDE) + 1}: ${named(best)}`;
    cell.tabIndex = index === place ? 0 : -1;
  });
  find("mosaic").replaceChildren(...mosaic);
  find("on-photo").replaceChildren(...cells("span"));
  find("on-photo").style.translate = `${(-50 * data.stride) / 224}% ${(-50 * data.stride) / 224}%`;
  choose(name, place);
}

function choose(name, index, enter = false) {
  const [row, column] = [Math.floor(index / SIDE), index % SIDE];
  const channels = data.photos[name].channels[row][column], by = data.photos[name].by[row][column];
  place = index;
  for (const mesh of [find("mosaic"), find("on-photo")])
    [...mesh.children].forEach((cell, at) => cell.classList.toggle("on", at === index));
  find("place").replaceChildren(
    make("p", { textContent: `Row ${row + 1}, column ${column + 1}` }),
    ...channels.map((channel, at) => tileLink(channel, named(channel), make("small", { textContent: `+${by[at].toFixed(1)}` }))),
  );
  if (enter) location.hash = `${layer}/${channels[0]}`;
}

// ---------------------------------------------------------------------------------------------------------- addresses

function show() {
  const [name, what] = location.hash.slice(1).split("/");
  const channel = /^\d+$/.test(what) ? Number(what) : undefined;
  const known = Object.hasOwn(ATLAS, name);
  if (!data || (known && name !== layer)) enter(known ? name : layers[Math.min(1, layers.length - 1)]);
  let notice = name && !known ? `There is no layer ${name} in this atlas: ${layers.join(", ")}.` : "";
  if (channel >= tiles.length) notice = `${layer} has channels 0 to ${tiles.length - 1}, not ${channel}.`;
  if (channel === undefined && what && what !== "photos" && !Object.hasOwn(data.photos, what)) notice = `There is no photo ${what} here.`;
  const photo = !notice && what && Object.hasOwn(data.photos, what) ? what : undefined;
  const view = photo ? "photo-view" : !notice && what === "photos" ? "photos-view" : "grid-view";
  find("notice").textContent = notice;
  if (channel !== undefined && !notice) {
    if (!under.startsWith(layer)) look("grid-view", layer);
    open(channel);
  } else {
    if (dialog.open) dialog.close();
    look(view, notice || !what ? layer : `${layer}/${what}`);
    if (photo) openPhoto(photo);
  }
  document.title = `${channel === undefined ? (photo ? people(photo) : data.title) : `${data.title} ${named(channel)}`} · The atlas`;
}

function look(view, address) {
  const at = address.split("/")[1];
  under = address;
  for (const id of ["grid-view", "photos-view", "photo-view"]) find(id).hidden = id !== view;
  const tab = (name, href, current, small) => make("a", { href, ariaCurrent: current ? "page" : null }, name, make("small", { textContent: small }));
  find("layers").replaceChildren(...layers.map(name =>
    tab(ATLAS[name].title, `#${name}${at && at in ATLAS[name].photos ? `/${at}` : at === "photos" ? "/photos" : ""}`, name === layer, `${ATLAS[name].channels.length} channels`)));
  find("views").replaceChildren(tab("Every channel", `#${layer}`, !at, ""), ...(Object.keys(data.photos).length ? [tab("On the photos", `#${layer}/photos`, at, "")] : []));
  find("about").textContent = `${layer}: ${data.words} Each picture began as noise and was changed in ${data.steps} steps, until this one channel answered to it strongly.`;
  find("about").hidden = view !== "grid-view";
  listPhotos();
}

find("sort").onchange = find("filter").oninput = arrange;
find("tools").onsubmit = event => {
  event.preventDefault();
  const exact = shown.find(channel => String(channel) === find("filter").value.trim()) ?? shown[0];
  if (exact !== undefined) location.hash = `${layer}/${exact}`;
};
find("grid").onkeydown = event => move(event, shown.map(channel => tiles[channel]));
find("mosaic").onkeydown = event => move(event, [...find("mosaic").children]);
find("previous").onclick = () => step(-1);
find("next").onclick = () => step(1);
find("close").onclick = () => dialog.close();
dialog.onclick = event => event.target === dialog && dialog.close();
dialog.onkeydown = event => {
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") step(event.key === "ArrowLeft" ? -1 : 1);
};
dialog.onclose = () => {
  const channel = Number(location.hash.split("/")[1]);
  if (!Number.isNaN(channel)) location.hash = under; // closed by hand, not by going back
  if (!find("grid-view").hidden) tiles[channel]?.focus();
};
addEventListener("hashchange", show);
show();
