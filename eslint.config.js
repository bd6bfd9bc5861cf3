import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  {
    ignores: [
      'dist',
      'build',
      'coverage',
      'out',
      'node_modules',
      '*.config.js',
      '**/*.cjs',
      '**/*.mjs',
      'scripts',
      'notebooks',
      'test/package',
    ],
  },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: './tsconfig.test.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Numbers are what this library prints most.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // An empty parameter tree is `{}`, as in Lux's empty NamedTuple.
      '@typescript-eslint/no-empty-object-type': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['src/**/*.ts', 'solvers/**/*.ts', 'models/**/*.ts'],
    rules: {
      // Its core is all that is used here, and loads in a quarter of the time.
      'no-restricted-imports': ['error', { paths: [{ name: '@tensorflow/tfjs', message: 'Import @tensorflow/tfjs-core.' }] }], // prettier-ignore
      'no-restricted-globals': ['error', { name: 'process', message: 'Browsers have none: see src/core/host.ts.' }],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // chai's assertions are expressions.
      '@typescript-eslint/no-unused-expressions': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Published values are written with all the digits they were published with.
      'no-loss-of-precision': 'off',
      // A caught value is known to be the error that the next assertion looks at.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
    },
  },
);
