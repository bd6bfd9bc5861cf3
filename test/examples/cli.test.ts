import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  choice,
  commonOptions,
  helpText,
  integer,
  number,
  parseCommandLine,
  UsageError,
} from '../../examples/support/cli.js';
import { editDistance, nearest } from '../../examples/support/nearest.js';

const options = {
  ...commonOptions({ steps: 300 }),
  rate: number('learning rate', 0.01, { min: 0 }),
  adjoint: choice('how gradients are made', 'discrete', ['discrete', 'backsolve', 'interpolating']),
  shift: integer('a shift', 0),
};
const parse = (...argv: string[]) => parseCommandLine(options, argv);

describe('the command line of the examples', () => {
  it('gives every option its default', () => {
    expect(parse()).to.deep.equal({
      steps: 300,
      seed: 0,
      backend: 'auto',
      out: 'out',
      rate: 0.01,
      adjoint: 'discrete',
      shift: 0,
    });
  });

  it('reads values after a space or an equals sign; the last one counts', () => {
    const values = parse('--steps', '20', '--rate=1e-3', '--out', '/tmp/x', '--steps', '21', '--shift', '-3');
    expect(values).to.include({ steps: 21, rate: 1e-3, out: '/tmp/x', shift: -3 });
  });

  it('knows --help and -h', () => {
    expect(parse('--help')).to.equal('help');
    expect(parse('--steps', '3', '-h')).to.equal('help');
    const help = helpText({ name: 'spiral', summary: 'Learns a spiral.' }, options);
    expect(help).to.contain('spiral: Learns a spiral.').and.contain('npm run spiral -- [options]');
    for (const name of [...Object.keys(options), 'help']) expect(help).to.contain(`--${name}`);
    expect(help).to.match(/--steps N {2,}training steps \(default 300\)/);
    expect(help).to.contain('discrete, backsolve, interpolating (default discrete)');
    const unlimited = { ...integer('digits', 0), fallback: Infinity };
    expect(helpText({ name: 'x', summary: '' }, { digits: unlimited })).to.contain('digits (default no limit)');
  });

  const mistakes: readonly [what: string, argv: string[], message: RegExp][] = [
    ['a letter for a number', ['--steps', 'many'], /^--steps: expected an integer of at least 1, got "many"$/],
    ['a fraction', ['--steps', '1.5'], /^--steps: expected an integer of at least 1, got "1\.5"$/],
    ['too small a number', ['--steps', '0'], /^--steps: expected an integer of at least 1, got "0"$/],
    ['a number with a tail', ['--rate', '1x'], /^--rate: expected a number of at least 0, got "1x"$/],
    ['an infinite number', ['--rate', 'Infinity'], /^--rate: expected a number/],
    ['an option for a value', ['--steps', '--seed', '3'], /^--steps: expected an integer .* got "--seed"$/],
    ['no value', ['--seed'], /^--seed: a value is missing; expected an integer of at least 0$/],
    ['a mistyped option', ['--stesp', '3'], /^unknown option --stesp; did you mean --steps\?$/],
    ['a strange option', ['--colour', 'red'], /^unknown option --colour$/],
    ['a property of every object', ['--constructor'], /^unknown option --constructor$/],
    ['a mistyped word', ['--backend', 'wsam'], /^--backend: expected one of .*, got "wsam"; did you mean "wasm"\?$/],
    ['a word on its own', ['20'], /^"20" was not expected/],
    ['an empty folder', ['--out', ''], /^--out: expected some text, got ""$/],
  ];
  for (const [what, argv, message] of mistakes) {
    it(`refuses ${what}`, () => {
      expect(() => parse(...argv)).to.throw(UsageError, message);
    });
  }
});

describe('the nearest word', () => {
  const distances: readonly [a: string, b: string, distance: number][] = [
    ['', 'abc', 3],
    ['kitten', 'sitting', 3],
    ['steps', 'steps', 0],
    ['stpes', 'steps', 1],
    ['ca', 'abc', 3],
  ];
  for (const [a, b, distance] of distances) {
    it(`"${a}" and "${b}" are ${distance} apart`, () => {
      expect(editDistance(a, b)).to.equal(distance);
      expect(editDistance(b, a)).to.equal(distance);
    });
  }

  it('is the nearest of several, or none', () => {
    expect(nearest('sed', ['steps', 'seed', 'out'])).to.equal('seed');
    expect(nearest('colour', ['steps', 'seed', 'out'])).to.equal(undefined);
  });
});
