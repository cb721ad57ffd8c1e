"""Trust: hardened parsing, XML signatures, certificates and revocation; the verdict and the signed view. Signs too.

Knows no file format: a format says where its signature stands (``SignaturePlace``). The one room, beside the edXML
adapter, that touches lxml and xmlsec.
"""
