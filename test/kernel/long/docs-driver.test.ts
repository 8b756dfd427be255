// SPDX-License-Identifier: MIT
/**
 * docs/driver.md: its experiments, as written, on a machine of its own, with a page open. The terminal and the page show
 * what the chapters say. test/playwright/course.test.ts looks at the page in a browser.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import type { StatsSeen } from '../../../src/web/protocol';
import { cannotRun, MAIN, ROOT, SLOW } from '../../helpers/cli';
import type { Told } from '../../helpers/course-tool';
import { type Block, blocksOf, notShown, READERS_HOME, scriptOf } from '../../helpers/document';
import { PrivateMachine } from '../../helpers/private-machine';
import { toolPath } from '../../helpers/tool-process';
import { withoutTools } from '../../helpers/traffic';

t.setTimeout(280_000 * SLOW);

const FILE = path.join(ROOT, 'docs', 'driver.md');
const TEXT = fs.readFileSync(FILE, 'utf8');

/** A page like a reader's, which writes down what it is told. */
const PAGES = `"$NODE" "$TOOL" /run/course.url "$TOLD" </dev/null >/dev/null 2>"$TOLD.errors" &
pages=$!
`;
const PAGES_END = 'wait "$pages"\n';

/** The number that stands before a word on a line of `stats`; NaN if there is none. */
const numberBefore = (text: string, word: string): number =>
  Number(new RegExp(`([\\d.]+) +${word}`).exec(text)?.[1] ?? NaN);

/** What the commands of a block print, and when it begins and ends, in milliseconds since the epoch. */
interface Part extends Block {
  output: string;
  begin: number;
  end: number;
}

/** The parts of an output, which the marks of scriptOf() separate, with times in them. */
function partsOf(commands: readonly Block[], output: string): Part[] {
  const parts = [...output.matchAll(/^@@ line (\d+) (\d+)\n([^]*?)(?=^@@ line|(?![^]))/gm)];
  return parts.map(([, line, begin, text = ''], i) => ({
    ...(commands.find((each) => each.line === Number(line)) as Block),
    output: text,
    begin: Number(begin),
    end: Number(parts[i + 1]?.[2] ?? Infinity),
  }));
}

/** What a page was told during a part. */
function toldTo<T extends Told['type']>(
  told: readonly Told[],
  type: T,
  page: string,
  { begin, end }: Part,
): Extract<Told, { type: T }>[] {
  // Only readings have a time; other messages come between two of them.
  let now = 0;
  return told.filter((each): each is Extract<Told, { type: T }> => {
    if (each.type === 'stats') now = each.time;
    return each.type === type && each.page === page && now >= begin && now < end;
  });
}

t.test('the experiments show it', { skip: cannotRun || withoutTools('iperf3', 'ethtool', 'tcpdump') }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const blocks = blocksOf(FILE);
  t.same([...new Set(blocks.map(({ language }) => language))].sort(), ['sh', 'text']);
  const commands = blocks.filter(({ language }) => language === 'sh');
  const marked = scriptOf(commands)
    .replace(/^echo "@@ line (\d+)"$/gm, 'echo "@@ line $1 $(date +%s%3N)"')
    // A flood shows after a second what it shows after three.
    .replaceAll('--bitrate 0 --length 64 --time 3', '--bitrate 0 --length 64 --time 1')
    // A reader looks at the page before going on.
    .replace(/^(?:vnet-bpf detach|kill "\$web")/gm, 'sleep 1; $&');
  const told = path.join(t.testdir({}), 'told');
  const { status, stdout, stderr } = machine.run('bash', ['-c', READERS_HOME + PAGES + marked + PAGES_END], {
    NODE: process.execPath,
    MAIN,
    TOOL: toolPath('course-tool'),
    TOLD: told,
  });
  t.equal(status, 0, stderr + stdout.slice(-500));
  const parts = partsOf(commands, stdout);
  t.equal(parts.length, commands.length);

  await t.test('the terminal', async (t) => {
    for (const { line, output } of parts) {
      const next = commands.find((each) => each.line > line)?.line ?? Infinity;
      for (const block of blocks.filter((each) => each.language === 'text' && each.line > line && each.line < next))
        t.same(notShown(block.text, output), [], `line ${block.line}: is printed: ${output}`);
    }
    const [
      ,
      interfaces,
      transmit,
      slow,
      fast,
      receive,
      offloads,
      checksum,
      count,
      fault,
      polling,
      several,
      crash,
      end,
    ] = parts.map(({ output }) => output) as [...string[]];

    t.match(interfaces, /driver: veth/);
    t.match(interfaces, /vnet0@if\d+/);
    t.match(interfaces, /vnet0@if\d+: <NO-CARRIER,/);
    t.match(transmit, /4 packets transmitted, 4 received/);
    t.ok(numberBefore(transmit ?? '', 'packets .* bytes') >= 8);

    const [stopped = '', after = ''] = (slow ?? '').split('vnet1 in course').slice(1);
    t.match(stopped, 'stopped now');
    t.ok(Number(/held +(\d+)/.exec(stopped)?.[1]) > 0, 'frames are held');
    t.match(slow, /200 packets transmitted, 200 received/);
    t.equal(numberBefore(after, 'stops'), numberBefore(after, 'wakes'));

    const [held = '', refused = ''] = (fast ?? '').split('vnet1 in course').slice(1);
    t.ok(numberBefore(held, 'stops') > 0, 'the queue stops');
    t.equal(numberBefore(held, 'stops'), numberBefore(held, 'wakes'), 'and wakes');
    t.match(held, /refused +none/);
    t.match(fast, /queue stopped on vnet1/);
    t.match(fast, /queue woken on vnet1/);
    t.match(refused, /refused +full \d/);

    const [each = '', budget = ''] = (receive ?? '').split('\n').filter((line) => line.startsWith('  poll'));
    const [received = ''] = (receive ?? '').split('\n').filter((line) => line.startsWith('  rx'));
    t.ok(
      numberBefore(each, 'polls') >= numberBefore(received, 'packets'),
      `a poll for each packet: ${received}${each}`,
    );
    t.ok(numberBefore(each, 'used the budget up') > numberBefore(budget, 'used the budget up'));

    t.match(offloads, /tcp-segmentation-offload: on/);
    const [stream = '', cut = ''] = (offloads ?? '').split('vnet1 in course').slice(1);
    t.ok(numberBefore(stream, 'packets') < 2000, 'superpackets');
    t.ok(Number(/largest frame (\d+)/.exec(stream)?.[1]) > 60_000);
    t.ok(numberBefore(cut, 'packets') > 20_000, 'frames');
    t.ok(Number(/"merged": (\d+)/.exec(offloads ?? '')?.[1]) > 0, 'merged');
    t.match(checksum, /bad udp cksum/);

    t.match(count, /accounting +\d+ in +\d+ out +balanced/);
    t.match(fault, /3 packets transmitted, 2 received/);
    t.match(fault, /hooks .*1 dropped/);
    t.match(fault, /accounting +\d+ in +\d+ out +balanced/);

    const [asleep = '', awake = ''] = (polling ?? '').split('\n').filter((line) => line.startsWith('  poll'));
    t.ok(numberBefore(asleep, 'sleeps') > 4 * numberBefore(awake, 'sleeps'), `${asleep}${awake}`);
    const [little = NaN, much = NaN] = [...(polling ?? '').matchAll(/^(\d+):(\d+):(\d+)$/gm)].map(
      ([, hours, minutes, seconds]) => Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds),
    );
    t.ok(much >= 1, `${little} and ${much} seconds of processor time`);

    t.match(several, /2 queues .* of 16 MiB/);

    t.match(crash, /^vnet0 +course +crashed /m);
    t.match(crash, /vnet0 in course: crashed[^]*\n +queue +1 packets/);
    t.match(crash, /1 packets transmitted, 1 received/);
    t.match(crash, /adopted: vnet0/);
    t.notMatch(end, /^\d+: vnet0|^vnet-bpf$/m);
  });

  await t.test('the page', async (t) => {
    t.equal(fs.readFileSync(`${told}.errors`, 'utf8'), '');
    const all = fs
      .readFileSync(told, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Told);
    const [, interfaces, transmit, slow, , receive, , , count, fault, polling, several, crash] = parts as [...Part[]];
    const readings = (page: string, part: Part | undefined): StatsSeen[] => toldTo(all, 'stats', page, part as Part);

    t.match(all[0], { type: 'hello', interfaces: [] }, 'no interface at first');
    // A busy machine may be in the next chapter before the page has its next reading.
    const states = [interfaces, transmit]
      .flatMap((part) => readings('vnet0', part))
      .map(({ carrier, stats }) => `${stats.state}, ${carrier}`);
    t.same([...new Set(states)].sort(), ['running, down', 'running, up'], 'the carrier goes down and up');

    const frames = toldTo(all, 'frames', 'vnet0', transmit as Part).flatMap(({ frames }) => frames);
    t.equal(frames.filter(({ summary }) => summary.includes('icmp echo')).length, 8, 'a row for each frame');
    t.ok(frames.every(({ outcome }) => /^captured, reinjected after /.test(outcome)));

    const filling = readings('vnet1', slow);
    t.ok(
      filling.some(({ stats }) => !stats.queue.stopped && stats.queue.packets > 10),
      'the ring fills,',
    );
    t.ok(
      filling.some(({ stats }) => stats.queue.stopped && stats.held.now > 0),
      'is red, and frames are held',
    );
    t.match(filling.at(-1)?.stats.queue, { stopped: false, packets: 0 }, 'and is empty again');

    const usedUp = (page: string): number => {
      const { polls = 0, budgetExhausted = 0 } = readings(page, receive).at(-1)?.stats.poll ?? {};
      return budgetExhausted / polls;
    };
    t.ok(usedUp('vnet1') > 0.99 && usedUp('vnet2') < 0.9, `budget used up: ${usedUp('vnet1')}, ${usedUp('vnet2')}`);
    t.ok((readings('vnet1', count).at(-1)?.stats.refused.full ?? 0) > 0, 'a red number');
    t.match(readings('vnet1', fault).at(-1), {
      faults: 'icmp from client nth 2: drop',
      stats: { hooks: { dropped: 1 } },
    });
    const faulted = toldTo(all, 'frames', 'vnet1', fault as Part).flatMap(({ frames }) => frames);
    t.match(
      faulted.map(({ outcome }) => outcome).join('\n'),
      /dropped by faults after .*rule 1: icmp from client nth 2/,
    );

    const sleeps = (page: string): number => {
      const seen = readings(page, polling);
      return seen.filter(({ stats }, i) => stats.poll.sleeps > (seen[i - 1]?.stats.poll.sleeps ?? Infinity)).length;
    };
    t.ok(
      sleeps('vnet1') > 25 && sleeps('vnet2') < sleeps('vnet1') / 2,
      `sleeps: ${sleeps('vnet1')}, ${sleeps('vnet2')}`,
    );

    t.equal(readings('vnet1', several).at(-1)?.stats.queue.capacityBytes, 16 << 20);
    const why = toldTo(all, 'frames', 'vnet1', several as Part).map(({ unavailable }) => unavailable?.message);
    t.match(why.join(), /queues/, 'no frames of two queues');

    const crashed = readings('vnet0', crash);
    t.ok(crashed.some(({ stats }) => stats.state === 'crashed' && stats.queue.packets === 1));
    t.match(crashed.at(-1)?.stats, { state: 'running', queue: { packets: 0 } });
    const last = all.filter(({ type, page }) => page === 'vnet0' && (type === 'stats' || type === 'gone')).at(-1);
    t.equal(last?.type, 'gone', 'it is gone at last');
  });

  t.same(
    machine.residue().filter((line) => !['/run/netns', '/run/home'].includes(line)),
    [],
    'nothing is left',
  );
});

t.test('each chapter has all its parts', async (t) => {
  const chapters = TEXT.split(/^(?=## )/m).filter((text) => /^## \d/.test(text));
  t.equal(chapters.length, 9);
  for (const chapter of chapters) {
    const [title = ''] = chapter.split('\n');
    for (const part of ['](driver-', '**In the kernel.**', '**Here.**', '**Try it.**', '```sh', '- In the terminal', '- On the page', '**Question.**', '*Answer.*'])
      t.ok(chapter.includes(part), `${title}: ${part}`);
  } // prettier-ignore
});

/** The functions of a small loopback driver. */
const DRIVER =
  'module_init alloc_etherdev register_netdev ndo_open ndo_start_xmit netif_stop_queue napi_schedule poll netif_receive_skb napi_complete_done netif_wake_queue ndo_get_stats64 module_exit'.split(
    ' ',
  );

t.test('the table has each function of a driver', async (t) => {
  const rows = TEXT.split('## From one function to another')[1] ?? '';
  t.same(
    DRIVER.filter((name) => !rows.includes(`| \`${name}\``)),
    [],
  );
});

/** Whether a text declares a name: as a function, a method, a struct, a variable, or a program. */
const declares = (text: string, name: string): boolean =>
  [
    `^(?:export )?(?:async )?(?:abstract )?(?:function|class|const|interface) ${name}\\b`,
    `^ +(?:(?:private|protected|static|async) )*${name}\\(.*\\{$`,
    `^struct ${name} \\{$`,
    `^(?:static .*|.*\\bint |#define )${name}\\(`,
  ].some((pattern) => new RegExp(pattern, 'm').test(text));

t.test('the files that it names are there, and have what it says', async (t) => {
  const named = [...new Set([...TEXT.matchAll(/`((?:src|bpf)\/[\w/.-]*)`/g)].map(([, name = '']) => name))];
  t.ok(named.length > 10);
  t.same(
    named.filter((name) => !fs.existsSync(path.join(ROOT, name))),
    [],
  );
  const places = [...TEXT.matchAll(/`(?:struct )?(\w+)(?:\(\))?`(?: and `(\w+)`)? in `((?:src|bpf)\/[\w/.-]*)`/g)];
  t.ok(places.length > 25, `${places.length} names`);
  for (const [, name = '', another, file = ''] of places)
    for (const each of [name, another ?? name])
      t.ok(declares(fs.readFileSync(path.join(ROOT, file), 'utf8'), each), `${each} is in ${file}`);
});

t.test('its pictures are legible in light and dark, and say what they show', async (t) => {
  const pictures = [...TEXT.matchAll(/!\[([^\]]+)\]\((driver-[a-z]+\.svg)\)/g)];
  t.equal(new Set(pictures.map(([, , file]) => file)).size, 9);
  const styles = new Set<string>();
  for (const [, alt = '', file = ''] of pictures) {
    const svg = fs.readFileSync(path.join(ROOT, 'docs', file), 'utf8');
    const [, style = ''] = /<style>([^]*)<\/style>/.exec(svg) ?? [];
    styles.add(style);
    const [light = '', dark = ''] = style.split('@media (prefers-color-scheme: dark)');
    const coloured = (part: string): string[] =>
      [...part.matchAll(/^([\w.]+) \{.*#[0-9a-f]{3}/gm)].map(([, selector = '']) => selector).sort();
    t.same(coloured(dark), coloured(light), `${file}: each colour has another one in the dark`);
    const used = new Set([...svg.matchAll(/class="([^"]*)"/g)].flatMap(([, names = '']) => names.split(' ')));
    t.same(
      [...used].filter((name) => !light.includes(`.${name} `)),
      [],
      `${file}: each class has a style`,
    );
    t.match(svg, /<title id="title">.+<\/title>\n<desc id="desc">.+<\/desc>/, `${file}: has a description`);
    t.notMatch(svg.replace('http://www.w3.org/2000/svg', ''), /https?:|href|@import|<script/, `${file}: stands alone`);
    t.ok(alt.length > 20, `${file}: the page says what it shows`);
  }
  t.equal(styles.size, 1, 'they have one style');
});
