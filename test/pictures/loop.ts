// SPDX-License-Identifier: MIT
/** The loop, drawn: the parts of docs/architecture.md and the numbered steps of a frame through them. docs/loop.svg. */
import { GROUND, escapeXml, inBothSchemes, type Scheme, svgDocument } from './palette';

const SIZE = { width: 860, height: 564 };
const FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif';

const STYLE = `text{font:13px ${FONT}}.name{font-weight:600}.small{font-size:12px}.code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.middle{text-anchor:middle}.end{text-anchor:end}.number{font-size:11px;font-weight:700;text-anchor:middle}
.way{fill:none;stroke-width:2.5}.held,.original{stroke-dasharray:6 4;stroke-width:2}
${inBothSchemes(
  (s: Scheme) => `${GROUND(s)}
text{fill:${s.ink}}.small{fill:${s.faint}}.space{fill:${s.panel};stroke:${s.border}}.part{fill:${s.paper};stroke:${s.faint}}.program{fill:${s.paper};stroke:${s.blue}}
.frame{stroke:${s.blue}}.original,.cross{stroke:${s.faint}}.held{stroke:${s.yellow}}.blue{fill:${s.blue}}.grey{fill:${s.faint}}.yellow{fill:${s.yellow}}.number{fill:${s.paper}}`,
)}`;

const text = (x: number, y: number, content: string, classes = ''): string =>
  `<text x="${x}" y="${y}"${classes === '' ? '' : ` class="${classes}"`}>${escapeXml(content)}</text>`;

/** A namespace, or the process. */
const space = (x: number, y: number, width: number, height: number, name: string): string =>
  `<rect class="space" x="${x}" y="${y}" width="${width}" height="${height}" rx="10"/>` +
  (name === '' ? '' : text(x + 16, y + 22, name, 'small'));

const part = (x: number, y: number, width: number, height: number): string =>
  `<rect class="part" x="${x}" y="${y}" width="${width}" height="${height}" rx="6"/>`;

/** A TC program, with where it runs. */
const program = (x: number, y: number, name: string, where: string): string =>
  `<rect class="program" x="${x}" y="${y}" width="150" height="40" rx="20"/>` +
  text(x + 75, y + 18, name, 'code name middle') +
  text(x + 75, y + 32, where, 'small middle');

type Kind = 'frame' | 'original' | 'held';
const COLOUR = { frame: 'blue', original: 'grey', held: 'yellow' } as const;

/** A line through points, with an arrow at its end. */
function way(kind: Kind, ...points: readonly [number, number][]): string {
  const [fromX, fromY] = points.at(-2) ?? [0, 0];
  const [toX, toY] = points.at(-1) ?? [0, 0];
  const [dx, dy] = [Math.sign(toX - fromX), Math.sign(toY - fromY)];
  const back: [number, number] = [toX - 9 * dx, toY - 9 * dy];
  const line = [...points.slice(0, -1), back].map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${x} ${y}`).join('');
  const head = `M${toX} ${toY}L${back[0] + 5 * dy} ${back[1] + 5 * dx}L${back[0] - 5 * dy} ${back[1] - 5 * dx}z`;
  return `<path class="way ${kind}" d="${line}"/><path class="${COLOUR[kind]}" d="${head}"/>`;
}

/** The number of a step, as in the list of docs/architecture.md. */
const step = (x: number, y: number, number: string, kind: Kind = 'frame'): string =>
  `<circle class="${COLOUR[kind]}" cx="${x}" cy="${y}" r="10"/>` + text(x, y + 4, number, 'number');

function legend(x: number, y: number): string[] {
  const rows: [Kind, string][] = [
    ['frame', 'the copy of a frame: what is received'],
    ['original', 'the original: counted, then dropped'],
    ['held', 'held, while the queue is stopped'],
  ];
  return rows.map(
    ([kind, meaning], i) =>
      `<path class="way ${kind}" d="M${x} ${y + i * 20}h34"/>` + text(x + 44, y + 4 + i * 20, meaning, 'small'),
  );
}

export const LOOP_TITLE = 'The loop of vnet-bpf: how a frame that vnet0 transmits comes back as received';

export function loopPicture(): string {
  return svgDocument({ ...SIZE, title: LOOP_TITLE, style: STYLE }, [
    space(16, 16, 388, 374, 'your network namespace'),
    space(456, 16, 388, 374, 'peer namespace'),
    space(16, 422, 828, 126, ''),
    text(228, 444, 'vnet-bpf, in user space', 'small'),
    text(768, 444, 'controller: watches the link and the parts', 'small end'),
    ...legend(480, 62),
    text(430, 30, 'veth', 'small middle'),

    part(40, 56, 340, 52),
    text(210, 78, 'application', 'name middle'),
    text(210, 97, 'socket, TCP or UDP, IP', 'small middle'),

    part(40, 156, 340, 146),
    text(222, 180, 'vnet0', 'name middle'),
    program(56, 244, 'tx', 'TC egress'),
    `<rect class="part" x="246" y="192" width="118" height="36" rx="18"/>`,
    text(305, 215, 'RX', 'name middle'),

    part(480, 156, 340, 146),
    text(804, 180, 'peer', 'name end'),
    program(496, 190, 'resegment', 'TC egress'),
    program(496, 244, 'sink', 'TC ingress'),

    part(480, 330, 236, 44),
    text(494, 349, 'waiting room', 'name'),
    text(494, 366, 'opens by credit', 'small'),
    text(446, 404, 'release', 'small code'),
    text(503, 404, 'on egress', 'small'),

    part(40, 458, 200, 74),
    text(56, 482, 'ring buffer', 'name'),
    text(56, 501, 'full: the queue stops', 'small'),
    text(56, 519, 'mapped, by libbpf-ts', 'small'),
    part(308, 458, 244, 74),
    text(324, 482, 'poller, in TypeScript', 'name'),
    text(324, 501, 'poll(budget), then sleep until woken', 'small'),
    text(324, 519, 'your hook, faults, recording', 'small'),
    part(620, 458, 200, 74),
    text(636, 482, 'AF_PACKET socket', 'name'),
    text(636, 501, 'on the peer', 'small'),
    text(636, 519, 'one sendmmsg per poll', 'small'),

    way('frame', [131, 108], [131, 244]),
    step(131, 132, '1'),
    way('frame', [110, 284], [110, 458]),
    step(110, 322, '2'),
    text(128, 318, 'copied into the ring, with its', 'small'),
    text(128, 334, 'checksum and GSO fields', 'small'),
    way('original', [206, 264], [496, 264]),
    step(305, 264, '3', 'original'),
    text(322, 284, 'marked', 'small'),
    `<path class="way original" d="M646 264h52"/><path class="way cross" d="M702 257l14 14M716 257l-14 14"/>`,
    text(728, 268, 'dropped', 'small'),
    step(672, 264, '4', 'original'),
    way('frame', [240, 495], [308, 495]),
    step(270, 495, '5'),
    way('frame', [552, 495], [620, 495]),
    step(582, 495, '6'),
    way('frame', [784, 458], [784, 210], [646, 210]),
    step(784, 400, '7'),
    way('frame', [496, 210], [364, 210]),
    way('frame', [305, 192], [305, 108]),
    step(305, 134, '8'),
    text(322, 138, 'received', 'small'),
    way('held', [571, 284], [571, 330]),
    step(571, 304, 'H1', 'held'),
    way('held', [571, 374], [571, 410], [200, 410], [200, 458]),
    step(430, 410, 'H3', 'held'),
    step(694, 352, 'H2', 'held'),
  ]);
}
