import sys; sys.path.append("/tmp/t-LANG/wf")
import numpy as np, io
from wordfreq import get_frequency_dict, available_languages
from curate.matching import words
import math
tot=0
for least in (17,18):
  tot=0
  for lang in ("de","ru","zh","ja","fi","ko","tr","ar","hi","sh"):
    f=get_frequency_dict(lang,"small")
    keys=list(f); sp=words.split_words(keys); p=np.array([f[k] for k in keys])
    own=np.repeat(p,sp.counts)
    k=sp.hashes.astype(np.uint32)
    u,inv=np.unique(k,return_inverse=True); s=np.bincount(inv,own); s/=s.sum()
    keep=s>=2.0**-least
    if least==18: print(lang,len(f),len(u),keep.sum(), "mass", s[keep].sum().round(3))
    buf=io.BytesIO(); np.savez_compressed(buf,a=np.diff(u[keep],prepend=np.uint32(0)),b=np.round(-np.log2(s[keep])*8).astype(np.uint8)); tot+=buf.tell()
  print(least,tot/10)
