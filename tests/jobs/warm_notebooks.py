# ruff: noqa: E501 - cells are as long as they are
"""Cells that look around in their process: what they print must not tell a forked kernel from a new one."""

from __future__ import annotations

# What a notebook imports at its beginning. Before that, a forked kernel knows more modules.
IMPORTS = """
import rasterio, torch, numba, pandas, geopandas, rioxarray, pyogrio, pystac_client, odc.stac, skimage
import matplotlib.pyplot, scipy.signal, scipy.ndimage, pyarrow.parquet
from geolab import catalog, figures, ingest, raster, town
from geolab.change import classic, detect, model
import psutil
"""

PROCESS = """
import os, sys, signal, resource, locale, time, threading
print(os.path.basename(os.getcwd())[:12], os.getsid(0) == os.getpid() == os.getpgrp())
print(sys.argv[0].endswith('ipykernel_launcher.py'), sys.argv[1], sys.argv[3:])
print([a for a in sys.orig_argv if not a.startswith('/')], sys.flags, sys.executable)
print(sys.path, sys.path_hooks[0], sys.byteorder, sys.dont_write_bytecode)
print(oct(os.umask(0o077)), os.umask(0o022) == 0o077)
print({s.name: str(signal.getsignal(s)) for s in signal.valid_signals() if isinstance(s, signal.Signals)})
print(signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getitimer(signal.ITIMER_REAL))
print([resource.getrlimit(getattr(resource, n)) for n in sorted(dir(resource)) if n.startswith('RLIMIT')])
print(os.sched_getaffinity(0), os.nice(0), locale.setlocale(locale.LC_ALL), time.tzname, time.timezone)
print(sys.stdin.read() if sys.stdin else None, sys.getrecursionlimit(), sys.getswitchinterval())
print(sys.stdout.encoding, sys.stderr.encoding, sys.__stdout__.encoding, sys.__stdout__.line_buffering)
print(sorted(t.name for t in threading.enumerate()))
"""

FILES = """
import os
kinds = []
for fd in sorted(map(int, os.listdir('/proc/self/fd')))[1:]:  # the first, standard input, gives nothing
    try:
        where = os.readlink(f'/proc/self/fd/{fd}')
    except OSError:
        continue
    kinds.append(where.split(':')[0] if not where.startswith('/') else os.path.basename(where))
print(sorted(kinds), os.get_inheritable(1), os.get_inheritable(2))
print(os.fstat(1).st_ino == os.fstat(2).st_ino)
"""

VARIABLES = """
import os
for name, value in sorted(os.environ.items()):
    if name != 'JPY_PARENT_PID':
        print(name, '=', value)
"""

STATE = """
import sys, gc, asyncio, atexit, logging, warnings, decimal, socket, tempfile, faulthandler, multiprocessing as mp
print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), faulthandler.is_enabled())
print(mp.get_start_method(allow_none=True), mp.parent_process(), mp.active_children(), mp.current_process())
print(mp.process.ORIGINAL_DIR == os.getcwd(), socket.getdefaulttimeout(), decimal.getcontext())
print(tempfile.tempdir, tempfile.gettempdir())
print(logging.root.handlers, logging.root.level, logging.getLogger('geolab').handlers)
print(sorted((n, [type(h).__name__ for h in l.handlers], l.level)
    for n, l in logging.root.manager.loggerDict.items()
    if isinstance(l, logging.Logger) and (l.handlers or l.level)))
print([h.stream is sys.stderr for h in logging.getLogger('torch').handlers])
print(type(asyncio.get_event_loop_policy()), type(asyncio.get_running_loop()))
print(sorted(map(str, warnings.filters)))
print(type(sys.excepthook), type(sys.displayhook), sys.gettrace(), sys.getprofile(), sys.getrefcount(None) > 0)
"""

SHELL = """
ip = get_ipython()
print(ip.execution_count, ip.profile, ip.history_manager.hist_file, ip.history_manager.enabled)
print(sorted(ip.magics_manager.magics['line'])[:20], sorted(k for k in ip.user_ns if not k.startswith('__'))[:40])
print(__name__, sys.modules['__main__'].__dict__ is globals(), In[:2], Out)
print(sorted(ip.extension_manager.loaded), ip.kernel.parent.parent_handle == os.getppid())
import matplotlib
print(matplotlib.get_backend(), dict(matplotlib.rcParams))
"""

THREADS = """
import numexpr, pandas as pd, numpy as np, torch, numba
print(torch.get_num_threads(), torch.get_num_interop_threads(), numexpr.get_num_threads(), numba.get_num_threads())
torch.manual_seed(3)
print(torch.rand(3), torch.get_default_dtype(), torch.cuda.is_initialized())
print(torch.backends.mkldnn.is_available(), torch.__config__.parallel_info())
"""

NUMBERS = """
rng = np.random.default_rng(5)
a = rng.standard_normal((700, 700)).astype('float32')
import hashlib
def digest(x): return hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()
t = torch.from_numpy(a)
print(digest(a @ a), digest(np.linalg.svd(a[:200, :200])[1]), digest(np.linalg.inv(a.astype('float64'))))
print(digest((t @ t).numpy()), digest(torch.nn.functional.conv2d(t[None, None], t[None, None, :5, :5]).numpy()))
net = torch.nn.Sequential(torch.nn.Linear(700, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))
net(t).sum().backward()
print(digest(net[0].weight.grad.numpy()))
@numba.njit(parallel=True)
def total(x):
    out = np.zeros(x.shape[0])
    for i in numba.prange(x.shape[0]):
        out[i] = x[i].sum()
    return out
print(digest(total(a)))
frame = pd.DataFrame(a[:, :3], columns=list('xyz'))
print(digest(frame.eval('x * y + z').to_numpy()), digest(frame.rolling(9).mean().to_numpy()))
print(len(os.listdir('/proc/self/task')) > 1)
"""

WRITTEN = """
import rasterio, geopandas as gpd, xarray as xr
from rasterio.transform import from_origin
from shapely.geometry import box
with rasterio.open('a.tif', 'w', driver='COG', width=700, height=700, count=1, dtype='float32', crs='EPSG:32633',
                   transform=from_origin(5e5, 5e6, 10, 10)) as out:
    out.write(a, 1)
gpd.GeoDataFrame({'n': [1, 2]}, geometry=[box(0, 0, 1, 1), box(1, 1, 3, 2)], crs=4326).to_crs(32631).to_parquet('b.parquet')
import rioxarray
rioxarray.open_rasterio('a.tif').rio.reproject('EPSG:4326').rio.to_raster('c.tif')
import matplotlib.pyplot as plt
fig, ax = plt.subplots()
_ = ax.imshow(a)
"""

ENDING = """
import atexit, threading, time
late = open('late.txt', 'w')
late.write('not flushed by the notebook')
atexit.register(lambda: open('atexit.txt', 'w').write('ran'))
class Last:
    def __del__(self, open=open):
        with open('del.txt', 'w') as f:
            f.write('deleted')
last = Last()
def slow():
    time.sleep(0.5)
    open('thread.txt', 'w').write('waited for')
threading.Thread(target=slow).start()
"""

CHILD = """
import subprocess, time
_ = subprocess.run(['sh', '-c', 'umask > umask.txt; ulimit -a > limits.txt; pwd > pwd.txt; env | sort > env.txt'], check=True)
"""

SAID = """
import logging
logging.getLogger('torch').handlers[0].stream.write('a word of torch')
"""

EVERYTHING = (
    IMPORTS,
    PROCESS,
    FILES,
    VARIABLES,
    STATE,
    SHELL,
    THREADS,
    NUMBERS,
    WRITTEN,
    CHILD,
    SAID,
    ENDING,
)
