import { OffheapError } from './error.js';
import { OPERATIONS, PHASES } from './event.js';

/** A field of a structure in native/wire/layout.h. */
export interface Field {
  name: string;
  /** Bytes from the start of its structure. */
  offset: number;
  bytes: number;
}

export interface Structure {
  bytes: number;
  fields: Field[];
}

/** native/wire/layout.h as the addon was compiled with it. */
export interface Layout {
  version: string;
  /** 16 hexadecimal digits. */
  layoutHash: string;
  magic: string;
  structures: Record<
    'Header' | 'Event' | 'StackNode' | 'Site' | 'HeapEvent' | 'Chunk' | 'Lane' | 'Temporaries',
    Structure
  >;
  /** Names by value: the value is the position. */
  enumerations: Record<
    | 'operations'
    | 'phases'
    | 'processStates'
    | 'beginnings'
    | 'clocks'
    | 'siteStates'
    | 'degradations'
    | 'heapModes'
    | 'heapEventKinds'
    | 'requestKinds'
    | 'answers'
    | 'memoryReturns'
    | 'statisticsSources'
    | 'sizeRoundings'
    | 'jemallocStatistics'
    | 'tcmallocStatistics',
    string[]
  >;
  constants: Record<
    | 'pageBytes'
    | 'flagStackTruncated'
    | 'flagByProfiler'
    | 'flagNested'
    | 'keyKindShift'
    | 'keyReturnAddress'
    | 'keyExactAddress'
    | 'keyGeneration'
    | 'keyPython'
    | 'keyText'
    | 'keyTextOffset'
    | 'keyPythonCode',
    number
  >;
}

/** Refuses an addon whose names for operations and phases aren't those of event.ts: it would be misread. */
export function checkLayout(layout: Layout): Layout {
  const pairs = [
    ['operations', layout.enumerations.operations, OPERATIONS],
    ['phases', layout.enumerations.phases, PHASES],
  ] as const;
  for (const [name, theirs, ours] of pairs) {
    if (theirs.length !== ours.length || theirs.some((text, value) => text !== ours[value])) {
      throw new OffheapError(
        'ADDON_VERSION',
        `the addon knows other ${name} than this JavaScript: build both from one version (npm run build)`,
      );
    }
  }
  return layout;
}

/** Bytes from the start of `structure` to a field. An unknown name is an error in this program. */
export function fieldOffset(structure: Structure, name: string): number {
  return fieldOf(structure, name).offset;
}

/** As `fieldOffset`. */
export function fieldOf(structure: Structure, name: string): Field {
  const field = fieldsOf(structure).get(name);
  if (!field) throw new TypeError(`native/wire/layout.h has no field ${name}`);
  return field;
}

const fieldsByName = new WeakMap<Structure, ReadonlyMap<string, Field>>();

/** By name. */
function fieldsOf(structure: Structure): ReadonlyMap<string, Field> {
  let fields = fieldsByName.get(structure);
  if (fields === undefined) {
    fields = new Map(structure.fields.map((field) => [field.name, field]));
    fieldsByName.set(structure, fields);
  }
  return fields;
}
