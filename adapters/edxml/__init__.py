"""The national format edXML (QCVN 102:2016/BTTTT and its Amendment 1:2022) behind the relay's port ``PackageFormat``.

``format`` reads a signed view, ``writer`` builds unsigned packages, ``attachments`` takes files out of a verified
package, ``secrecy`` finds state secrets, ``show`` tells people what a package says, ``samples`` makes synthetic ones.
"""
