/** The word of `words` that a mistyped one most likely meant: at most a third of its letters differ. */
export function nearest(mistyped: string, words: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(mistyped.length / 3)) + 1;
  for (const word of words) {
    const distance = editDistance(mistyped, word);
    if (distance < least) [best, least] = [word, distance];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that make `b` of `a` (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j], before[j - 2] + 1);
    }
    [before, above] = [above, row];
  }
  return above[b.length];
}

/** `; did you mean "x"?`, or nothing when no word is near. */
export function suggestion(
  mistyped: string,
  words: readonly string[],
  quote: (word: string) => string = (w) => `"${w}"`,
): string {
  const word = nearest(mistyped, words);
  return word === undefined ? '' : `; did you mean ${quote(word)}?`;
}
