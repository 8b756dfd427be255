// SPDX-License-Identifier: MIT
/** The queue as a state machine: what stops it, and what wakes it again. docs/gate.svg. */
import { escapeXml, GROUND, inBothSchemes, type Scheme, svgDocument } from './palette';

const SIZE = { width: 860, height: 330 };
const FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif';

const STYLE = `text{font:13px ${FONT};text-anchor:middle}.name{font-weight:600}.small{font-size:12px}
.way{fill:none;stroke-width:2}
${inBothSchemes(
  (s: Scheme) => `${GROUND(s)}
text{fill:${s.ink}}.small{fill:${s.faint}}.state{fill:${s.panel};stroke:${s.faint}}.running{stroke:${s.green}}.stopped{stroke:${s.red}}
.way{stroke:${s.blue}}.head{fill:${s.blue}}`,
)}`;

const text = (x: number, y: number, lines: readonly string[], classes = 'small'): string =>
  lines.map((line, i) => `<text x="${x}" y="${y + 16 * i}" class="${classes}">${escapeXml(line)}</text>`).join('');

/** A state, 130 wide and 44 high, around a point. */
const state = (x: number, y: number, name: string, classes = ''): string =>
  `<rect class="state ${classes}" x="${x - 65}" y="${y - 22}" width="130" height="44" rx="22" stroke-width="2"/>` +
  text(x, y + 5, [name], 'name');

/** A straight line with an arrow at its end. */
function way(fromX: number, fromY: number, toX: number, toY: number): string {
  const [dx, dy] = [Math.sign(toX - fromX), Math.sign(toY - fromY)];
  const [x, y] = [toX - 9 * dx, toY - 9 * dy];
  const head = `M${toX} ${toY}L${x + 5 * dy} ${y + 5 * dx}L${x - 5 * dy} ${y - 5 * dx}z`;
  return `<path class="way" d="M${fromX} ${fromY}L${x} ${y}"/><path class="head" d="${head}"/>`;
}

export const GATE_TITLE = 'The states of the queue: running, stopped, draining, closing';

export function gatePicture(): string {
  return svgDocument({ ...SIZE, title: GATE_TITLE, style: STYLE }, [
    state(110, 70, 'Running', 'running'),
    state(430, 70, 'Stopped', 'stopped'),
    state(750, 70, 'Draining'),
    state(430, 260, 'Closing'),
    way(175, 70, 365, 70),
    text(270, 40, ['no space in the ring', '(stops + 1)']),
    way(495, 60, 685, 60),
    text(590, 32, ['ring at the low watermark,', 'frames are held']),
    way(685, 82, 495, 82),
    text(590, 102, ['a new frame, ring above', 'the low watermark again']),
    `<path class="way" d="M750 92V260H504"/><path class="head" d="M495 260L504 255V265z"/>`,
    text(622, 282, ['no frame is held or on the way']),
    way(415, 92, 415, 238),
    text(325, 152, ['ring at the low watermark,', 'no frame is held', 'or on the way']),
    way(445, 238, 445, 92),
    text(540, 172, ['a frame went to the', 'room: the exchange fails']),
    `<path class="way" d="M365 260H110V101"/><path class="head" d="M110 92L105 101H115z"/>`,
    text(230, 282, ['room closed, S changed from 1 to 0', '(wakes + 1)']),
  ]);
}
