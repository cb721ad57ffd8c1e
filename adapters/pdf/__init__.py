"""Signatures inside attachments, judged with pyHanko in a process of its own: the port ``AttachmentInspector``."""
