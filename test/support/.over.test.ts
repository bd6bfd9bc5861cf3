import './backend.js';
import * as tf from '@tensorflow/tfjs';
import { before } from 'mocha';
before(() => {
  for (const name of (process.env.OVER ?? '').split(',')) {
    const cpuK = tf.getKernel(name, 'cpu'); const own = tf.getKernel(name, 'wasm'); if (!cpuK || !own) { console.log('no', name); continue; }
    tf.unregisterKernel(name, 'wasm');
    tf.registerKernel({ ...own, kernelFunc: ({ inputs, attrs, backend }: any) => { const cpu: any = tf.engine().findBackend('cpu');
      const dl = (x: any) => x && ({ dataId: cpu.write(backend.readSync(x.dataId).slice(), x.shape, x.dtype), shape: x.shape, dtype: x.dtype });
      const named: any = Array.isArray(inputs) ? inputs.map(dl) : Object.fromEntries(Object.entries(inputs).map(([k, x]) => [k, dl(x)]));
      const r: any = cpuK.kernelFunc({ inputs: named, backend: cpu, attrs }); const up = (y: any) => ({ dataId: backend.write(cpu.readSync(y.dataId).slice(), y.shape, y.dtype), shape: y.shape, dtype: y.dtype });
      return Array.isArray(r) ? r.map(up) : up(r); } } as any);
  }
});
