import { describe, expect, it } from 'vitest';
import fc from '../../test/support/properties.js';
import { demangleD } from './d/demangle.js';
import { demangle } from './demangle.js';
import { lineName } from './short-name.js';
import { displayName } from './symbols.js';

/** f(A<int, int>, A<that, that>, A<that, that>, …): each parameter is twice as long as the one before. */
function doublingName(parameters: number): string {
  const reference = (n: number) => (n === 0 ? 'S_' : `S${(n - 1).toString(36).toUpperCase()}_`);
  let name = '_Z1f1AIiiE';
  for (let n = 1; n <= parameters; n++) name += `${reference(0)}I${reference(n)}${reference(n)}E`;
  return name;
}

describe('demangle', () => {
  it.each([
    ['_ZNSt6vectorIiSaIiEE9push_backERKi', 'std::vector<int, std::allocator<int> >::push_back(int const&)'],
    ['_ZNK3FooltERKS_', 'Foo::operator<(Foo const&) const'],
    ['_ZN12_GLOBAL__N_13fooEi', '(anonymous namespace)::foo(int)'],
    ['_Znwm', 'operator new(unsigned long)'],
    ['_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE', 'core::fmt::Write::write_fmt'],
    ['_RINvNtC3std3mem8align_ofjdE', 'std::mem::align_of::<usize, f64>'],
    ['_RNvYNtC1a1bNtC1c1d3foo', '<a::b as c::d>::foo'],
  ])('%s', (raw, name) => expect(demangle(raw)).toBe(name));

  it.each(['main', '_start', '_', '_Z', '_R', '', '_ZNSt6vectorIiSaIiE', '?f@@YAXXZ', '_Z1f\0'])(
    'leaves %j as it is',
    (raw) => expect(demangle(raw)).toBeNull(),
  );

  it('refuses a short name that stands for gigabytes, and reads the next one', () => {
    expect(demangle(doublingName(2))).toContain('f(A<int, int>, A<A<int, int>');
    for (const parameters of [16, 24, 40, 200]) {
      expect(demangle(doublingName(parameters))).toBeNull();
      expect(demangle('_ZN3FooC1Ev')).toBe('Foo::Foo()');
    }
  });

  it.each([
    `_Z1f${'P'.repeat(1e6)}`,
    '_ZN_'.repeat(2000),
    `_Z1f${'1AI'.repeat(2600)}`,
    `_R${'I'.repeat(8000)}`,
  ])('survives deep nesting (%.12s…)', (raw) => {
    expect(demangle(raw)).toBeNull();
    expect(demangle('_ZN3FooC1Ev')).toBe('Foo::Foo()');
  });

  it('survives any name made of the pieces of mangled names', () => {
    const pieces = [
      'N',
      'E',
      'I',
      'S_',
      'S0_',
      'T_',
      'K',
      'P',
      'R',
      '3foo',
      '1A',
      'i',
      'J',
      'Dp',
      'X',
      'L',
      'cl',
      'DT',
    ];
    const name = fc.array(
      fc.constantFrom(...pieces, 'C1', 'Z', '_', 'B0_', 'Nv', 'F', 'M', '17h0123456789abcdefE'),
    );
    fc.assert(
      fc.property(fc.constantFrom('_Z', '_ZN', '_Z1f', '_R', '_RNv', '_RINv'), name, (start, parts) => {
        const raw = start + parts.join('');
        expect(displayName(raw)).not.toBe('');
        expect(displayName(raw).length).toBeLessThanOrEqual(16384);
      }),
      { numRuns: 1500 },
    );
    expect(demangle('_ZN3FooC1Ev')).toBe('Foo::Foo()');
  });
});

describe('displayName', () => {
  it.each([
    ['_ZNSt6vectorIiSaIiEE9push_backERKi', 'std::vector<int, std::allocator<int> >::push_back'],
    ['_ZZ4mainENKUlicE_clEic', 'main::{lambda(int, char)#1}::operator()'],
    ['_ZZN3FooIiE3barEiENKUlvE_clEv', 'Foo<int>::bar::{lambda()#1}::operator()'],
    ['_ZN3FoolsILi3EEEvi', 'Foo::operator<< <3>'],
    ['_ZNK3FooltERKS_', 'Foo::operator<'],
    ['_ZNK3FooptEv', 'Foo::operator->'],
    ['_ZN3FoocvbEv', 'Foo::operator bool'],
    ['_ZN12_GLOBAL__N_13fooEi', '(anonymous namespace)::foo'],
    ['_ZN3foo3barEv.cold', 'foo::bar'],
    ['_ZThn16_N3Foo3barEi', 'Foo::bar'],
    ['_ZNKSt8functionIFviEEclEi', 'std::function<void (int)>::operator()'],
    ['_RNvYNtC1a1bNtC1c1d3foo', '<a::b as c::d>::foo'],
    ['_ZN4core3ptr13drop_in_place17h0123456789abcdefE', 'core::ptr::drop_in_place'],
    ['ucs_mpool_grow', 'ucs_mpool_grow'],
    ['ucs_mpool_grow.part.0.constprop.3', 'ucs_mpool_grow'],
    ['_ZdlPv@plt', 'operator delete@plt'],
    ['bad\u001b[2Jname', 'bad?[2Jname'],
  ])('%s', (raw, name) => expect(displayName(raw)).toBe(name));

  it.each([
    ['_ZN3FooILm8ELin1ELj3EE3barEv', 'Foo<8ul, -1, 3u>::bar'],
    ['_D3std5stdio__T7writelnTAyaZQnFNfQjZv', 'std.stdio.writeln!(immutable(char)[]).writeln'],
    [
      '_D4core5cpuid18getcacheinfoCPUID2FNbNiNeZ14decipherCpuid2MFNbNihZv',
      'core.cpuid.getcacheinfoCPUID2.decipherCpuid2',
    ],
    ['_D3std8datetime7systime7SysTime8toStringMxFNbNlNfZAya', 'std.datetime.systime.SysTime.toString'],
    ['_D3std3uni__T6toCaseVbi1Vai97VAyaa1_61Z3fooFZv', 'std.uni.toCase!(true, \'a\', "a").foo'],
    ['_D6object9Throwable6__ctorMFAyaZC6object9Throwable', 'object.Throwable.this'],
    ['_Dmain', 'D main'],
    ['_D', '_D'],
    ['_Dwarf_reader', '_Dwarf_reader'],
    ['_D4std', '_D4std'],
    ['_D3stdQaFZv', '_D3stdQaFZv'],
  ])('%s', (raw, name) => expect(displayName(raw)).toBe(name));

  it('keeps template arguments whole; a line leaves out those that make it too long', () => {
    const long = `_ZN3FooI${'NSt6vectorIiSaIiEEE'}${'St3mapIiiSt4lessIiESaISt4pairIKiiEEE'.repeat(3)}E3barIiEEvi`;
    const whole = displayName(long);
    expect(whole).toMatch(/^Foo<std::vector<int, .*>::bar<int>$/);
    expect(whole.length).toBeGreaterThan(200);
    expect(lineName(whole)).toBe('Foo<…>::bar<…>');
    expect(lineName('Foo<int>::bar')).toBe('Foo<int>::bar');
    const type = 'a_rather_long_name_of_a_type::'.repeat(4);
    expect(lineName(`<${type}A as ${type}B>::foo::<${type}C>`)).toBe(`<${type}A as ${type}B>::foo::<…>`);
    expect(lineName(`a.b!(${type}${type}).c`)).toBe('a.b!(…).c');
    expect(lineName('x'.repeat(5000))).toHaveLength(1024);
  });
});

describe('demangleD', () => {
  it('survives any name made of the pieces of mangled names', () => {
    const pieces = [
      '3std',
      '__T',
      '__U',
      'Z',
      'T',
      'V',
      'S',
      'Qa',
      'Qb',
      'Qd',
      'QBa',
      'A',
      'G3',
      'H',
      'P',
      'D',
      'F',
      'M',
      'Nf',
      'i',
      'B2',
      'a1_61',
      'e',
      '_D',
      '1a',
      '99',
      'v',
      'x',
      'C',
    ];
    const name = fc.array(fc.constantFrom(...pieces), { maxLength: 60 });
    fc.assert(
      fc.property(name, (parts) => {
        expect((demangleD(`_D${parts.join('')}`) ?? '').length).toBeLessThanOrEqual(16384);
      }),
      { numRuns: 5000 },
    );
  });

  it('refuses a short name that stands for gigabytes, and deep nesting', () => {
    // Each argument is a tuple of the one before, twice.
    const doubling = (args: number) => {
      let name = '_D1a__T1bTB2ii';
      for (let i = 0, before = 4; i < args; i++) {
        const to = (from: number) => `Q${String.fromCharCode(97 + from + before)}`;
        name += `TB2${to(3)}${to(5)}`;
        before = 6;
      }
      return `${name}Z1cFZv`;
    };
    expect(demangleD(doubling(1))).toBe('a.b!(tuple(int, int), tuple(tuple(int, int), tuple(int, int))).c');
    expect(demangleD(doubling(40))).toBeNull();
    expect(demangleD(`_D1a__T1bT${'A'.repeat(100_000)}iZ1cFZv`)).toBeNull();
  });
});
