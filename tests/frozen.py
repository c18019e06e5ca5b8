"""Import it last: what was imported before is left alone by the garbage collector.

Otherwise each process that is forked from this one copies all of it, as soon as the
collector looks at it.
"""

import gc

gc.collect()
gc.freeze()
