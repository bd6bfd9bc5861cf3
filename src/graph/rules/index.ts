/**
 * Our own derivative rules: where tfjs has none, or a wrong one, or one that cannot be differentiated again. Every other
 * kernel uses the rule that tfjs registers.
 */
import type { Rule, RuleTable } from './rule.js';

const TABLES: readonly RuleTable[] = [];

const RULES: ReadonlyMap<string, Rule> = new Map(TABLES.flatMap((table) => Object.entries(table)));

export function findRule(kernel: string): Rule | undefined {
  return RULES.get(kernel);
}
