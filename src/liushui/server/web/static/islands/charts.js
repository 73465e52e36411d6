// Draws the page's charts with ECharts. Amounts become numbers here, for drawing alone: every text comes from the server.
import * as echarts from "../vendor/echarts-6.1.0/echarts.esm.min.js";
import { openPage } from "../js/address.js";
import { colour, whenColoursChange } from "../js/colours.js";
import { hideTip, made, showTip } from "./tip.js";

const drawn = new Map();

/** Draws every chart in a part of the page that is not drawn yet. */
export function drawCharts(root) {
  for (const element of root.querySelectorAll("[data-chart]")) {
    if (drawn.has(element)) continue;
    const source = element.parentElement.querySelector(`script[data-for="${element.dataset.chart}"]`);
    const chart = echarts.init(element, null, { renderer: "canvas" });
    const kind = KINDS[element.dataset.chart];
    const data = JSON.parse(source.textContent);
    drawn.set(element, () => chart.setOption(kind.option(data, element), true));
    drawn.get(element)();
    kind.listen(chart, data);
    let width = element.clientWidth;
    let height = element.clientHeight;
    new ResizeObserver(() => {
      // It also reports the size that the chart was just drawn in.
      if (element.clientWidth === width && element.clientHeight === height) return;
      width = element.clientWidth;
      height = element.clientHeight;
      chart.resize();
      drawn.get(element)();
    }).observe(element);
  }
}

whenColoursChange(() => drawn.forEach((draw) => draw()));

const series = (number) => colour(number ? `--series-${number}` : "--line-strong");
const text = () => ({ color: colour("--quiet"), fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12 });

// Numbers of an axis: short, and only there.
const short = new Intl.NumberFormat(document.documentElement.lang, { notation: "compact", maximumFractionDigits: 1 });

function barsOption(data, element) {
  const bar = (figures, one) => ({
    name: one.name,
    type: "bar",
    stack: "moved",
    barMaxWidth: 44,
    barCategoryGap: "28%",
    itemStyle: { color: series(one.colour) },
    data: figures.map((figure) => Number(figure.exact)),
  });
  const net = {
    name: data.words.net,
    type: "line",
    symbol: "circle",
    symbolSize: 5,
    lineStyle: { color: colour("--ink"), width: 1.5 },
    itemStyle: { color: colour("--ink") },
    data: data.net.map((figure) => Number(figure.exact)),
    z: 5,
  };
  const gaps = {
    type: "bar",
    xAxisIndex: 1, // axes of their own: bars of one axis share its width
    yAxisIndex: 1,
    barWidth: "100%",
    silent: true,
    itemStyle: { color: colour("--amber-soft") },
    data: data.axis.map((_, at) => (data.gaps.includes(at) ? 1 : 0)),
    z: 0,
  };
  return {
    animation: false,
    textStyle: text(),
    grid: { left: 12, right: 16, top: 16, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: [
      {
        type: "category",
        data: data.axis,
        axisLine: { lineStyle: { color: colour("--line-strong") } },
        axisTick: { show: false },
        axisLabel: { ...text(), hideOverlap: true },
      },
      { type: "category", data: data.axis, show: false },
    ],
    yAxis: [
      {
        type: "value",
        splitNumber: element.clientHeight > 320 ? 6 : 4,
        axisLabel: { ...text(), formatter: (value) => short.format(value) },
        splitLine: { lineStyle: { color: colour("--line") } },
      },
      { type: "value", show: false, min: 0, max: 1 },
    ],
    tooltip: { trigger: "axis", showContent: false, axisPointer: { type: "shadow", shadowStyle: { opacity: 0.12 } } },
    series: [gaps, ...data.series.flatMap((one) => [bar(one.came, one), bar(one.went, one)]), net],
  };
}

function barsTip(data, at) {
  const cell = (content) => made("td", "", content);
  const told = (figure) => (Number(figure.exact) ? figure.text : "");
  const rows = data.series
    .filter((one) => told(one.came[at]) || told(one.went[at]))
    .map((one) => {
      const name = made("td", "", made("span", `swatch s${one.colour}`), one.name);
      return made("tr", "", name, cell(told(one.came[at])), cell(told(one.went[at])));
    });
  const head = made("tr", "quiet", cell(""), cell(data.words.came), cell(data.words.went));
  const foot = made("tr", "", cell(data.words.net), made("td", "", data.net[at].text), cell(""));
  return [
    made("strong", "", `${data.periods[at]} · ${data.marks[at]}`),
    made("table", "", made("tbody", "", head, ...rows, foot)),
  ];
}

function barsListen(chart, data) {
  const place = (event) => {
    if (!chart.containPixel("grid", [event.offsetX, event.offsetY])) return -1;
    return Math.round(chart.convertFromPixel({ xAxisIndex: 0 }, event.offsetX));
  };
  const zr = chart.getZr();
  zr.on("mousemove", (event) => {
    const at = place(event);
    if (at < 0 || at >= data.periods.length) return hideTip();
    zr.setCursorStyle("pointer");
    return showTip(event.event.clientX, event.event.clientY, ...barsTip(data, at));
  });
  zr.on("globalout", hideTip);
  zr.on("click", (event) => {
    const at = place(event);
    if (at >= 0 && at < data.addresses.length) openPage(data.addresses[at]);
  });
}

function sankeyOption(data, element) {
  const narrow = element.clientWidth < 640;
  return {
    animation: false,
    textStyle: text(),
    tooltip: { show: false },
    series: [
      {
        type: "sankey",
        left: 16,
        right: 16,
        top: 16,
        bottom: 16,
        nodeWidth: 10,
        nodeGap: 17,
        nodeAlign: "left",
        draggable: false,
        emphasis: { focus: "adjacency", lineStyle: { opacity: 0.6 } },
        label: {
          ...text(),
          color: colour("--ink"),
          textBorderColor: colour("--surface"),
          textBorderWidth: 3,
          width: narrow ? 88 : 175,
          overflow: "truncate",
        },
        lineStyle: { color: "gradient", opacity: 0.4, curveness: 0.5 },
        data: data.nodes.map((node) => ({
          name: node.name,
          depth: node.column,
          itemStyle: { color: node.column === 1 ? colour("--ink") : series(node.colour) },
          label: {
            formatter: () => node.title,
            position: node.column === 2 ? "left" : "right",
            ...(narrow && node.column === 1 ? { rotate: 90, position: "inside" } : {}),
          },
        })),
        links: data.links.map((link) => ({
          source: link.source,
          target: link.target,
          value: Number(link.exact),
          lines: link.lines,
        })),
      },
    ],
  };
}

function sankeyListen(chart, data) {
  const titles = new Map(data.nodes.map((node) => [node.name, node.title]));
  chart.on("mousemove", (event) => {
    const { clientX, clientY } = event.event.event;
    const lines = event.dataType === "edge" ? event.data.lines : [titles.get(event.name)];
    showTip(clientX, clientY, ...lines.map((line) => made("div", "", line)));
  });
  chart.on("mouseout", hideTip);
  chart.on("globalout", hideTip);
}

const DAY_MS = 86_400_000;
const dayName = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeZone: "UTC" });

/** The balance after each day: solid where it is complete, dashed where not, nothing where a day's flows may be missing. */
function balanceOption(data) {
  const first = Date.parse(data.first);
  const days = data.figures.map((_, at) => new Date(first + at * DAY_MS));
  const points = (state) => data.figures.map((figure, at) => (data.states[at] === state ? Number(figure.exact) : null));
  const line = (name, state, dashed) => {
    const values = points(state);
    const alone = (at) => values[at] !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null;
    return {
      name,
      type: "line",
      step: "middle", // with "end" a line would reach into the gap after it
      data: values,
      connectNulls: false,
      symbol: "circle",
      symbolSize: (_, point) => (alone(point.dataIndex) ? 5 : 0), // a day between others has no line
      showAllSymbol: true,
      lineStyle: { color: series(1), width: 1.75, type: dashed ? "dashed" : "solid" },
      itemStyle: { color: series(1) },
    };
  };
  const gaps = data.figures.map((_, at) => (data.states[at] === "2" ? 1 : 0));
  return {
    animation: false,
    textStyle: text(),
    grid: { left: 12, right: 16, top: 16, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: [
      {
        type: "category",
        data: days.map((day) => dayName.format(day)),
        axisLine: { onZero: false, lineStyle: { color: colour("--line-strong") } },
        axisTick: { show: false },
        axisLabel: { ...text(), hideOverlap: true, alignMinLabel: "left", alignMaxLabel: "right" },
      },
      { type: "category", data: days.map(String), show: false },
    ],
    yAxis: [
      {
        type: "value",
        scale: true,
        axisLabel: { ...text(), formatter: (value) => short.format(value) },
        splitLine: { lineStyle: { color: colour("--line") } },
      },
      { type: "value", show: false, min: 0, max: 1 },
    ],
    tooltip: { trigger: "axis", showContent: false, axisPointer: { type: "line" } },
    series: [
      {
        type: "bar",
        xAxisIndex: 1,
        yAxisIndex: 1,
        barWidth: "100%",
        barCategoryGap: 0,
        silent: true,
        itemStyle: { color: colour("--amber-soft") },
        data: gaps,
        z: 0,
      },
      line("complete", "0", false),
      line("not complete", "1", true),
    ],
  };
}

function balanceListen(chart, data) {
  const first = Date.parse(data.first);
  const zr = chart.getZr();
  zr.on("mousemove", (event) => {
    const inside = chart.containPixel("grid", [event.offsetX, event.offsetY]);
    const at = inside ? Math.round(chart.convertFromPixel({ xAxisIndex: 0 }, event.offsetX)) : -1;
    if (at < 0 || at >= data.figures.length) return hideTip();
    const words = data.runs.findLast(([begin]) => begin <= at)?.[1] ?? "";
    const lines = [made("strong", "", dayName.format(new Date(first + at * DAY_MS)))];
    if (data.states[at] !== "2") lines.push(made("div", "", data.figures[at].text));
    lines.push(made("div", "quiet", words));
    return showTip(event.event.clientX, event.event.clientY, ...lines);
  });
  zr.on("globalout", hideTip);
}

const KINDS = {
  balance: { option: balanceOption, listen: balanceListen },
  bars: { option: barsOption, listen: barsListen },
  sankey: { option: sankeyOption, listen: sankeyListen },
};
