import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { arrowPlaces, figure, saveFigure, toPng, type Panel, type Point } from '../../examples/support/figure.js';

const line: Point[] = [
  [0, 1],
  [1, 10],
  [2, 100],
];
const panel: Panel = {
  title: 'A & B',
  x: { label: 'time' },
  y: { label: 'size' },
  series: [
    { name: 'fit <1>', kind: 'line', points: line },
    { name: 'data', kind: 'dots', points: line, colour: '#123456' },
  ],
};

describe('a figure', () => {
  it('names its panels, axes and series, escaped', () => {
    const svg = figure([panel, { ...panel, title: 'second' }], { title: 'whole' });
    for (const text of ['>A &amp; B<', '>second<', '>whole<', '>time<', '>size<', '>fit &lt;1&gt;<', '>data<']) {
      expect(svg).to.contain(text);
    }
    expect(svg).to.contain('#0072b2').and.contain('#123456').and.not.contain('currentColor');
  });

  it('puts panels in rows', () => {
    const size = (count: number, columns: number): string[] =>
      /width="(\d+)" height="(\d+)"/.exec(figure(Array.from({ length: count }, () => panel), { columns, width: 300, height: 200 }))?.slice(1) ?? []; // prettier-ignore
    expect(size(1, 3)).to.deep.equal(['324', '224']);
    expect(size(3, 3)).to.deep.equal(['948', '224']);
    expect(size(3, 2)).to.deep.equal(['636', '436']);
  });

  it('turns the arrows of a field as they go on the paper', () => {
    const angles = (field: (x: number, y: number) => Point): string[] => {
      const empty: Panel = { ...panel, x: { label: 'x', domain: [0, 1] }, y: { label: 'y', domain: [0, 100] }, series: [] }; // prettier-ignore
      const svg = figure([{ ...empty, arrows: arrowPlaces(empty).map(([x, y]) => field(x, y)) }]);
      return [...new Set([...svg.matchAll(/rotate\((-?[\d.]+)\)/g)].map(([, angle]) => angle))].filter(
        (a) => a !== '-90',
      );
    };
    expect(angles((_x, _y) => [0, 1])).to.deep.equal(['0']);
    expect(angles((_x, _y) => [1, 0])).to.deep.equal(['90']);
    // Across the whole panel, 1 in x and 100 in y: the diagonal of 390 by 226 pixels.
    const [diagonal] = angles((_x, _y) => [1, 100]).map(Number);
    expect(diagonal).to.be.closeTo((Math.atan2(390, 226) * 180) / Math.PI, 1e-3);
    expect(angles(() => [NaN, 1])).to.deep.equal([]);
  });

  it('refuses what a logarithm refuses, and an axis without a point', () => {
    const log: Panel = { ...panel, y: { label: 'size', scale: 'log' } };
    expect(figure([log])).to.contain('>100<');
    const within: Panel = { ...log, series: [{ name: 's', kind: 'line', points: [[0, 2.1], [1, 3.9]] }] }; // prettier-ignore
    expect(figure([within]), 'without a power of ten').to.contain('>3<');
    const bad: Panel = { ...log, series: [{ name: 's', kind: 'line', points: [[0, 0]] }] };
    expect(() => figure([bad])).to.throw(RangeError, /panel "A & B": axis "size" is logarithmic, but a value is 0/);
    expect(() => figure([{ ...panel, series: [] }])).to.throw(RangeError, /axis "time" needs a domain/);
  });

  it('becomes a PNG in which the text is drawn', () => {
    const withText = toPng(
      '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="20"><text x="2" y="15">Hhh</text></svg>',
      3,
    );
    const without = toPng('<svg xmlns="http://www.w3.org/2000/svg" width="60" height="20"></svg>', 3);
    expect(Array.from(withText.slice(0, 8))).to.deep.equal([137, 80, 78, 71, 13, 10, 26, 10]);
    const size = new DataView(withText.buffer, withText.byteOffset);
    expect([size.getUint32(16), size.getUint32(20)]).to.deep.equal([180, 60]);
    expect(withText.length).to.be.greaterThan(without.length + 100);
  });

  it('is saved as SVG and PNG in a folder that need not exist', () => {
    const folder = mkdtempSync(join(tmpdir(), 'figure-'));
    try {
      const paths = saveFigure(figure([panel]), join(folder, 'a/b/picture'));
      expect(paths.map((path) => path.slice(folder.length))).to.deep.equal(['/a/b/picture.svg', '/a/b/picture.png']);
      expect(readFileSync(paths[0], 'utf8')).to.match(/^<svg xmlns=/);
      expect(readFileSync(paths[1]).length).to.be.greaterThan(5000);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
