import { expect, test } from 'vitest';
import { describePythonFrame, pythonModule } from './python-frame.js';

test.each([
  ['/usr/lib/python3.11/json/decoder.py', 'json.decoder'],
  ['/usr/lib/python3/dist-packages/yaml/__init__.py', 'yaml'],
  ['/opt/venv/lib/python3.13t/site-packages/torch/nn/modules/linear.py', 'torch.nn.modules.linear'],
  ['/srv/app/server.py', 'server'],
  ['/srv/app/views/__init__.py', 'views'],
  ['server.py', 'server'],
  ['<frozen importlib._bootstrap>', 'importlib._bootstrap'],
  ['<string>', '<string>'],
  ['/srv/app/made.pyx', 'made.pyx'],
])('%s is of module %s', (file, module) => {
  expect(pythonModule(file)).toBe(module);
});

test('names are printable, and absent where they are unknown', () => {
  const code = { name: 'f\u001b[31m', file: '/srv/a\nb.py' };
  expect(describePythonFrame(code, 7)).toMatchObject({
    module: 'a?b',
    function: 'f?[31m',
    file: '/srv/a?b.py',
    line: 7,
    language: 'python',
  });
  expect(describePythonFrame(null, 0)).toMatchObject({ function: null, file: null, line: null });
});
