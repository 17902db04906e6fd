"use strict"
// The table of inputs: sort, filter, turn pages; and the energies in the same order.
// Files of figures and tables; the section that is read, in the navigation.

const data = JSON.parse(document.getElementById("data").textContent)
const table = document.getElementById("inputs")
const columns = Object.fromEntries(data.columns.map(column => [column.key, column]))
const close = new Set(data.close)
const state = {show: "all", label: "", find: "", by: data.by, down: true, first: 0}

const figures = new Intl.NumberFormat("en-US",
  {minimumSignificantDigits: 3, maximumSignificantDigits: 3})
const whole = new Intl.NumberFormat("en-US")

function text(column, row) {
  const value = column.values[row]
  if (column.words.length) return column.words[value]
  if (value === null) return "unknown"
  return (column.isCost ? figures : whole).format(value)
}

function shown() {
  const {values} = columns[state.by]
  const sign = state.down ? -1 : 1
  const rows = data.subsets[state.show].filter(row =>
    (state.label === "" || columns.label.values[row] === Number(state.label)) &&
    (state.find === "" || columns.index.values[row] === Number(state.find)))
  return rows.sort((a, b) => {
    if (values[a] === values[b]) return a - b
    if (values[a] === null) return 1 // unknown ones last
    if (values[b] === null) return -1
    return sign * (values[a] - values[b])
  })
}

function make(tag, attributes, ...children) {
  const found = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value)
  found.append(...children)
  return found
}

function picture(row) {
  const place = data.pictures[row]
  const cell = make("td", {class: "small-picture"})
  if (place < 0) return cell
  const image = make("span", {
    class: "picture",
    role: "img",
    "aria-label": `picture of input ${text(columns.index, row)}`,
  })
  image.style.setProperty("--column", place % data.across)
  image.style.setProperty("--row", Math.floor(place / data.across))
  cell.append(image)
  return cell
}

function tableRow(row) {
  const [index, ...others] = data.columns
  const name = text(index, row)
  const link = close.has(row)
    ? make("a", {href: `#input-${index.values[row]}`}, name) : name
  return make("tr", {}, make("th", {scope: "row"}, link), picture(row),
    ...others.map(column =>
      make("td", column.words.length ? {class: "words"} : {}, text(column, row))))
}

// one step for each input, or for a few neighbors where there are more than pixels
function drawEnergies(rows) {
  if (!data.parts.length) return
  const parts = data.parts.map(key => columns[key].values)
  const n = Math.min(rows.length, 1000)
  const heights = parts.map(values => Array.from({length: n}, (_, i) => {
    const some = rows.slice(Math.floor(i * rows.length / n),
      Math.floor((i + 1) * rows.length / n))
    return some.reduce((sum, row) => sum + (values[row] ?? 0), 0) / some.length
  }))
  const sums = Array.from({length: n}, (_, i) => heights.reduce((s, h) => s + h[i], 0))
  const top = sums.reduce((a, b) => Math.max(a, b), 0) || 1
  const strip = document.getElementById("strip")
  strip.replaceChildren()
  const bottom = new Array(n).fill(0)
  heights.forEach((height, part) => {
    const up = [], back = []
    height.forEach((value, i) => {
      const x0 = (1000 * i / n).toFixed(1), x1 = (1000 * (i + 1) / n).toFixed(1)
      const low = (150 - 150 * bottom[i] / top).toFixed(1)
      bottom[i] += value
      const high = (150 - 150 * bottom[i] / top).toFixed(1)
      up.push(`${x0} ${high}L${x1} ${high}`)
      back.unshift(`${x1} ${low}L${x0} ${low}`)
    })
    const d = `M${up.join("L")}L${back.join("L")}Z`
    if (n) addTo(strip, "path", {class: data.parts[part], d})
  })
  const page = {x: 1000 * state.first / (rows.length || 1), y: 0, height: 150,
    width: 1000 * data.rows / (rows.length || 1)}
  if (rows.length > data.rows) addTo(strip, "rect", {class: "frame", ...page})
  const energies = rows.map(row => parts.reduce((sum, part) => sum + (part[row] ?? 0), 0))
  const highest = energies.reduce((a, b) => Math.max(a, b), 0)
  document.getElementById("highest").textContent = figures.format(highest)
}

function addTo(svg, tag, attributes) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value)
  svg.append(found)
}

function draw() {
  const rows = shown()
  state.first = Math.max(0, Math.min(state.first, rows.length - 1))
  state.first -= state.first % data.rows
  const page = rows.slice(state.first, state.first + data.rows)
  table.tBodies[0].replaceChildren(...page.map(tableRow))
  for (const head of table.querySelectorAll("th[data-key]")) {
    if (head.dataset.key === state.by) {
      head.setAttribute("aria-sort", state.down ? "descending" : "ascending")
    } else head.removeAttribute("aria-sort")
  }
  const last = state.first + page.length
  document.getElementById("where").textContent = rows.length
    ? [state.first + 1, "to", last, "of", rows.length].map(part =>
        typeof part === "number" ? whole.format(part) : part).join(" ")
    : "no such input"
  document.getElementById("before").disabled = state.first === 0
  document.getElementById("after").disabled = last >= rows.length
  drawEnergies(rows)
}

function change(changes) {
  Object.assign(state, {first: 0}, changes)
  draw()
}

table.tHead.addEventListener("click", event => {
  const head = event.target.closest("th[data-key]")
  if (!head) return
  const {key} = head.dataset
  change({by: key, down: key === state.by ? !state.down : true})
})
document.getElementById("controls").addEventListener("submit", e => e.preventDefault())
document.getElementById("controls").addEventListener("input", event => {
  const {name, id, value} = event.target
  change({[name === "show" ? "show" : id === "only" ? "label" : "find"]: value})
})
document.getElementById("before").addEventListener("click", () =>
  change({first: state.first - data.rows}))
document.getElementById("after").addEventListener("click", () =>
  change({first: state.first + data.rows}))

// numbers as they are, not as they are shown; the rows that are shown, in their order
function inputsAsCsv() {
  const quoted = cell => /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell
  const lines = shown().map(row => data.columns.map(({values, words}) =>
    words.length ? words[values[row]] : values[row] ?? ""))
  const all = [data.columns.map(column => column.head), ...lines]
  return all.map(line => line.map(cell => quoted(String(cell))).join(",")).join("\n") + "\n"
}

// a drawing as a file: in the colors of paper, with its own style sheet
function alone(svg) {
  const copy = svg.cloneNode(true)
  const cores = svg.querySelectorAll(".core")
  copy.querySelectorAll(".core").forEach((core, i) => {
    core.setAttribute("fill", getComputedStyle(cores[i]).fill)
    core.removeAttribute("style")
  })
  const legends = svg.querySelectorAll(".legend")
  copy.querySelectorAll(".legend").forEach((legend, i) => {
    if (getComputedStyle(legends[i]).display === "none") legend.remove()
  })
  const [, , width, height] = svg.getAttribute("viewBox").split(" ")
  copy.setAttribute("width", width)
  copy.setAttribute("height", height)
  const style = document.createElementNS("http://www.w3.org/2000/svg", "style")
  style.textContent = data.light.style
  copy.prepend(style)
  const text = new XMLSerializer().serializeToString(copy)
    .replace(/var\(--(\w+)\)/g, (_, role) => data.light[role])
  return {text: `<?xml version="1.0" encoding="UTF-8"?>\n${text}\n`, width, height}
}

async function asPng({text, width, height}) {
  const image = new Image()
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`
  await image.decode()
  const canvas = make("canvas", {width: 4 * width, height: 4 * height})
  const paper = canvas.getContext("2d")
  paper.fillStyle = "white"
  paper.fillRect(0, 0, canvas.width, canvas.height)
  paper.drawImage(image, 0, 0, canvas.width, canvas.height)
  return new Promise(done => canvas.toBlob(done, "image/png"))
}

async function contentOf({dataset}, svg) {
  const kind = dataset.file.split(".").pop()
  if (kind === "svg") return new Blob([alone(svg).text], {type: "image/svg+xml"})
  if (kind === "png") return asPng(alone(svg))
  return new Blob([dataset.text ?? inputsAsCsv()], {type: "text/csv"})
}

document.addEventListener("click", async event => {
  const button = event.target.closest(".take button")
  if (!button) return
  const content = await contentOf(button, button.closest("figure")?.querySelector("svg"))
  const link = make("a", {download: button.dataset.file, href: URL.createObjectURL(content)})
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 1000)
})

const links = [...document.querySelectorAll("nav a")]
const sections = links.map(link => document.getElementById(link.hash.slice(1)))
document.addEventListener("scroll", () => {
  const read = sections.findLastIndex(section => section.getBoundingClientRect().top < 120)
  links.forEach((link, i) => {
    if (i === read) link.setAttribute("aria-current", "true")
    else link.removeAttribute("aria-current")
  })
  document.querySelector("nav").scrollTo({left: (links[read]?.offsetLeft ?? 0) - 40})
}, {passive: true})

for (const hidden of document.querySelectorAll("#controls, #energies, .pager, .take")) {
  hidden.hidden = false
}
draw()
