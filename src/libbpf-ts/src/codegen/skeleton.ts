// SPDX-License-Identifier: MIT
/** `libbpf-ts generate`: a class for an object, with its programs, maps and global variables. */
import type { Btf } from '../btf';
import { identifier, inComment, Names, property, quoted } from '../ctypes/names';
import type { Shape } from '../ctypes/shape';
import { UnreadableObjectError } from '../errors';
import { isPerCpu } from '../map-info';
import type { BpfObject } from '../object';
import { MapType } from '../uapi';
import { type Contents, contentsOf, type MapContents } from './contents';
import { Declarations } from './declarations';

export interface SkeletonOptions {
  /** Name of the class; defaults to that of the file, `syscall-counter.bpf.o` gives `SyscallCounter`. */
  readonly className?: string;
  /** The object file, to be part of the text; else open() takes a path. */
  readonly embed?: Uint8Array;
}

/** What the text may import. */
const IMPORTS = ['BpfObject', 'CType', 'c', 'embeddedObject', 'Input', 'OpenObjectOptions', 'Skeleton'];
const EMBEDDED = 'OBJECT';

/** count.bpf.o as Count. */
function classNameOf(source: string): string {
  const [first = ''] = source.split('.');
  const words = first.split(/[\W_]+/).filter((word) => word !== '');
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('') || 'Object';
}

/** Types of an object that was compiled without -g are not known. */
function contentsOfObject(object: BpfObject): Contents {
  let btf: Btf;
  try {
    btf = object.btf;
  } catch (error) {
    if (!(error instanceof UnreadableObjectError)) throw error;
    return { maps: [], sections: [] };
  }
  return contentsOf(btf);
}

/** The member of `maps` for a map. */
function mapText(all: Declarations, { name, type, key, value }: MapContents): string {
  const codec = (shape: Shape | undefined, part: string): string => {
    if (!shape) return 'c.rawBytes';
    const context = `${name}_${part}`;
    all.typeOf(shape, context);
    return all.codecOf(shape, context);
  };
  if (type === MapType.RINGBUF) return `this.ringBuffer(${quoted(name)}, ${codec(value, 'record')})`;
  const call = isPerCpu(type) ? 'perCpuMap' : 'map';
  return `this.${call}(${quoted(name)}, ${codec(key, 'key')}, ${codec(value, 'value')})`;
}

/**
 * The text of a module with a class for the object: programs, maps and global variables with their types.
 *
 * @param object an object that is open
 * @param source name of its file
 */
export function skeletonOf(object: BpfObject, source: string, options: SkeletonOptions = {}): string {
  const used = [EMBEDDED, ...IMPORTS];
  const className = Names.ofModule(used).take(identifier(options.className ?? classNameOf(source)));
  const all = new Declarations({ codecs: true, taken: [className, ...used] });
  const { maps, sections } = contentsOfObject(object);
  const typed = new Map(maps.map((map) => [map.name, map]));
  // Maps of global variables have a dot in their names.
  const shown = object.mapNames.filter((name) => !name.includes('.'));
  const mapLines = shown.map((name) => {
    const map = typed.get(name) ?? { name, type: 0 };
    return `    ${property(name)}: ${mapText(all, map)},\n`;
  });
  const members = sections.flatMap(({ name, variables, pointees }) => {
    for (const [variable, shape] of pointees) all.typeOf(shape, variable);
    // libbpf makes no map for a section that is not used.
    if (variables.fields.length === 0 || object.sectionMap(name) === undefined) return [];
    const type = all.addSection(variables);
    const member = identifier(name.slice(1));
    return [
      `  /** Global variables in ${inComment(name)}. */\n  readonly ${member} = this.globals(${quoted(name)}, ${type});\n`,
    ];
  });
  if (mapLines.length > 0) members.unshift(`  readonly maps = {\n${mapLines.join('')}  };\n`);

  const programs = object.programNames.map(quoted);
  const body = `/** Programs, maps and global variables of ${inComment(source)}. */
export class ${className} extends Skeleton<${programs.join(' | ') || 'never'}> {
${openText(className, source, options.embed !== undefined)}
${members.map((member) => `${member}\n`).join('')}  private constructor(object: BpfObject) {
    super(object, [${programs.join(', ')}]);
  }
}
`;
  const text = [...all.text, ...(options.embed ? [embeddedText(options.embed)] : []), body].join('\n');
  return `${headingOf(source, text)}\n${text}`;
}

function openText(className: string, source: string, embedded: boolean): string {
  const parameter = embedded ? '' : 'source: string | Uint8Array, ';
  const name = quoted(identifier(source.split('.')[0] ?? ''));
  return `  /**
   * Opens the object. Nothing is in the kernel before load().
   *
${embedded ? '' : '   * @param source path of the object file, or its bytes\n'}   * @throws UnreadableObjectError, LibraryError
   */
  static open(${parameter}options?: OpenObjectOptions): ${className} {
    return new ${className}(BpfObject.open(${embedded ? EMBEDDED : 'source'}, { name: ${name}, ...options }));
  }
`;
}

function embeddedText(object: Uint8Array): string {
  const lines =
    Buffer.from(object)
      .toString('base64')
      .match(/.{1,100}/g) ?? [];
  return `const ${EMBEDDED} = embeddedObject(\n${lines.map((line) => `  '${line}'`).join(' +\n')},\n);\n`;
}

function headingOf(source: string, text: string): string {
  const imports = [
    'BpfObject',
    ...(/\bc\./.test(text) ? ['ctypes as c'] : []),
    ...(/\bCType</.test(text) ? ['type CType'] : []),
    ...(/\bembeddedObject\(/.test(text) ? ['embeddedObject'] : []),
    ...(/\bInput</.test(text) ? ['type Input'] : []),
    'type OpenObjectOptions',
    'Skeleton',
  ];
  return (
    `// Made by libbpf-ts from the BTF of ${inComment(source)}; do not edit.\n/* eslint-disable */\n` +
    `import { ${imports.join(', ')} } from 'libbpf-ts';\n`
  );
}
