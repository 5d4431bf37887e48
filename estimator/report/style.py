"""How the report page looks: on a screen by day and night, on a phone, on paper."""

from typing import Final

# Colour-blind safe (Okabe & Ito 2008), as in the figures; orange and vermilion darker
# by day, blue the sky blue of the palette by night: 3:1 for shapes, 4.5:1 for text.
STYLE: Final = """
:root {color-scheme: light dark; --page: #fff; --text: #1b1e21; --muted: #575d63;
  --line: #e3e5e8; --soft: #f5f6f7; --link: #005f96; --shade: #1b1e2110;
  --estimated: #0072b2; --realized: #c17d00; --reconciled: #00865f; --alert: #d55e00;
  --warn: #b34700; --watch: #8a5a00; --good: #00704f; --fitted: #33383d}
@media screen and (prefers-color-scheme: dark) {
  :root {--page: #14171a; --text: #e6e8ea; --muted: #a3abb3; --line: #30363b;
    --soft: #1d2125; --link: #7cc4f0; --shade: #ffffff12; --estimated: #56b4e9;
    --realized: #e69f00; --reconciled: #1fbf92; --alert: #ff7733; --warn: #ff9057;
    --watch: #f0b740; --good: #3fcf9f; --fitted: #d5d9dd}
}
* {box-sizing: border-box}
body {margin: 0; overflow-wrap: anywhere; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  "Liberation Sans", sans-serif; -webkit-text-size-adjust: 100%; text-size-adjust: 100%}
main {max-width: 1180px; margin: 0 auto; padding: 28px 28px 64px}
h1, h2, h3, p, ul, ol, dl, dd, figure {margin: 0; padding: 0}
h1 {font-size: 15px; font-weight: 600}
h2 {font-size: 20px; font-weight: 600; margin: 44px 0 10px}
h3 {font-size: 15px; font-weight: 600}
time {white-space: nowrap}
small, .muted {font-size: 13px; color: var(--muted)}
a {color: var(--link); text-decoration: none}
a:hover {text-decoration: underline}
:focus-visible {outline: 2px solid var(--link); outline-offset: 3px; border-radius: 3px}
.index h1 {font-size: 25px}
.top {display: flex; flex-wrap: wrap; gap: 2px 16px; justify-content: space-between;
  align-items: baseline}
.headline {margin: 14px 0 0; padding: 16px 20px 17px; background: var(--soft);
  border-left: 5px solid var(--tone); border-radius: 3px}
.headline .tone {font-size: 12px; font-weight: 700; letter-spacing: .07em;
  text-transform: uppercase; color: var(--tone)}
.headline .what {font-size: 25px; line-height: 1.25; font-weight: 600;
  letter-spacing: -.01em; margin: 3px 0 6px; text-wrap: balance}
.bad {--tone: var(--warn)} .watch {--tone: var(--watch)} .good {--tone: var(--good)}
.none {--tone: var(--muted)}
.newest {margin-top: 16px}
.glance {list-style: none; margin-top: 16px}
.newest + .glance {margin-top: 6px}
.glance li {display: grid; align-items: baseline; gap: 0 18px; padding: 7px 0 7px 25px;
  grid-template-columns: 172px 160px 112px 1fr;
  border-bottom: 1px solid var(--line)}
.glance li:last-child {border: 0}
.glance .name {font-weight: 600; position: relative}
.mark {color: var(--tone); font-size: 12px; font-style: normal}
.glance .mark {position: absolute; left: -20px; top: 2px}
.glance .now, .readout, table {font-variant-numeric: tabular-nums}
.glance .now b {margin-right: 6px}
.glance .now small {white-space: nowrap}
.glance .said {font-size: 14px; line-height: 1.4}
.remarks {margin-top: 18px; padding-left: 20px}
.key {display: flex; flex-wrap: wrap; gap: 3px 18px; font-size: 13px;
  color: var(--muted); margin-bottom: 14px}
.key span {display: inline-flex; align-items: center; gap: 6px; white-space: nowrap}
.key svg {width: 26px; height: 14px; overflow: visible}
.charts {display: grid; gap: 30px 44px; grid-template-columns:
  repeat(auto-fit, minmax(min(100%, 440px), 1fr))}
.charts > figure {min-width: 0}
.charts > figure:first-child, .charts > figure:nth-child(even):last-child
  {grid-column: 1 / -1}
figcaption {display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 10px}
.plot {padding: 4px 2px 0 50px; touch-action: pan-y; cursor: crosshair}
.chart {display: block; width: 100%; overflow: visible}
.symbols {position: absolute; width: 0; height: 0}
.chart text {font-size: 11.5px; fill: var(--muted)}
svg svg path, .key path, .spark path {vector-effect: non-scaling-stroke; fill: none;
  stroke-linejoin: round}
.grid {stroke: var(--line)}
.reference {fill: var(--shade)}
.affected {fill: var(--alert); opacity: .13}
.band {fill: var(--band); opacity: .2}
.chart {--band: var(--estimated)} .reconciles {--band: var(--reconciled)}
.reconciles .chart {--band: var(--reconciled)}
svg path.estimated {stroke: var(--estimated); stroke-width: 1.7; stroke-linecap: round}
svg path.before {stroke: var(--estimated); stroke-width: 1.3; stroke-dasharray: 5 3}
svg path.realized {stroke: var(--realized); stroke-width: 1.4; stroke-linecap: round}
svg path.reconciled {stroke: var(--reconciled); stroke-width: 1.9;
  stroke-linecap: round}
svg path.dots {stroke-width: 5}
svg path.threshold {stroke: var(--alert); stroke-width: 1.1; stroke-dasharray: 6 4}
svg path.fitted {stroke: var(--fitted); stroke-width: 1.6; stroke-dasharray: 1.5 3}
use.alert {fill: var(--alert); stroke: var(--page); stroke-width: 1}
use.doubtful, use.no-trust {fill: none; stroke: var(--text); stroke-width: 1.6}
use.so-far {fill: none; stroke: var(--realized); stroke-width: 1.1; opacity: .65}
svg path.labels {fill: var(--realized)}
svg path.unlabeled {fill: var(--line)}
.cursor {stroke: var(--text); visibility: hidden}
.cursor.shown {visibility: visible}
.readout {display: flex; flex-wrap: wrap; gap: 4px 15px; margin: 4px 0 0 50px;
  font-size: 12.5px; line-height: 1.35}
.readout dt {color: var(--muted); font-size: 11.5px}
.readout .wide {flex: 0 0 100%; min-height: 1.35em; color: var(--muted)}
.readout .wide dt {display: none}
.readout .wide dd {display: inline; margin-right: 10px}
.readout b {color: var(--text)}
.alerted {color: var(--warn); font-weight: 600}
.multiples {display: grid; gap: 18px 30px; margin: 8px 0 26px; grid-template-columns:
  repeat(auto-fill, minmax(min(100%, 250px), 1fr))}
.multiples figure {min-width: 0}
.multiples .plot {padding-left: 42px}
@supports (grid-template-rows: subgrid) {
  .charts > figure, .multiples > figure {display: grid; grid-row: span 3;
    grid-template-columns: minmax(0, 1fr); grid-template-rows: subgrid; row-gap: 0}
}
.small .readout {justify-content: space-between; gap: 0 10px; font-size: 12px;
  margin: 0 0 0 42px; min-height: 2.7em; align-content: start}
.small .readout dt {display: none}
.small figcaption {justify-content: space-between}
.scroll {overflow: auto; max-height: 70vh; border: 1px solid var(--line);
  border-radius: 3px}
table {border-collapse: separate; border-spacing: 0; width: 100%; font-size: 13px}
caption {text-align: left; padding: 8px 12px; color: var(--muted)}
th, td {padding: 3px 10px; text-align: right; white-space: nowrap;
  overflow-wrap: normal}
thead th {position: sticky; top: 0; background: var(--soft); font-weight: 600;
  border-bottom: 1px solid var(--line)}
tbody th {font-weight: 400}
th:first-child, th:nth-child(2), th[scope="row"] {text-align: left}
tbody th[rowspan], tbody tr:first-child > * {border-top: 1px solid var(--line)}
th[rowspan] {vertical-align: top; font-weight: 600}
th[rowspan] small {display: block; font-weight: 400}
.notes {padding-left: 26px; font-size: 14px}
.notes li {padding: 2px 0}
footer {margin-top: 44px; padding-top: 12px; border-top: 1px solid var(--line)}
.models {list-style: none; margin-top: 22px}
.models > li {display: grid; gap: 4px 32px; align-items: center; padding: 16px 18px;
  margin-bottom: 14px; background: var(--soft); border-left: 5px solid var(--tone);
  border-radius: 3px; grid-template-columns: minmax(0, 1fr) minmax(0, 1.25fr)}
.models h2 {margin: 0; font-size: 18px}
.models .what {line-height: 1.4}
.models ul {list-style: none; display: grid; gap: 6px 22px; align-items: end;
  grid-template-columns: repeat(3, minmax(0, 1fr))}
.spark {display: block; width: 100%}
.spark path.estimated {stroke: var(--text); stroke-width: 1.4}
.spark path.alarm {stroke: var(--alert); stroke-width: 4; stroke-linecap: round}
@media (max-width: 860px) {
  main {padding: 18px 16px 48px}
  .headline {padding: 12px 14px 14px}
  .headline .what {font-size: 20px}
  .glance li {grid-template-columns: minmax(0, 1fr) auto; padding-left: 22px}
  .glance .was {display: none}
  .glance .said {grid-column: 1 / -1}
  .plot {padding-left: 42px}
  .readout {margin-left: 0}
  th[rowspan] {max-width: 100px}
  th[rowspan] small {white-space: normal}
  .index h1 {font-size: 21px}
  .models > li {grid-template-columns: minmax(0, 1fr)}
}
@media print {
  :root {color-scheme: light}
  body {font-size: 10pt}
  main {max-width: none; padding: 0}
  .charts, .multiples {display: block}
  figure, .headline, .models > li, tbody {break-inside: avoid}
  .charts > figure, .multiples > figure {margin-bottom: 18px}
  h2, h3 {break-after: avoid}
  .scroll {max-height: none; overflow: visible; border: 0}
  thead th {position: static}
  th, td {padding: 1px 4px; font-size: 8pt; white-space: normal;
    overflow-wrap: break-word}
  th[rowspan] small {font-size: 7pt}
  a {color: inherit}
  .headline, .models > li {print-color-adjust: exact;
    -webkit-print-color-adjust: exact}
}
"""
