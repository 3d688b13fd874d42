"""Personal data that tests plant in documents, and look for in what is shown."""

PLANTED = {
    "email": "jane.doe@corp.com",
    "phone": "+49 30 1234567",
    "ip": "81.2.69.142",
    "iban": "DE89 3704 0044 0532 0130 00",
    "card": "4111 1111 1111 1111",
    "secret": "AKIAIOSFODNN7EXAMPLE",
}
TEXT = "👩‍👩‍👧 Émile e\u0301 السلام writes to {}\r\nor 请联系jane.doe@corp.com谢谢 and goes on for a while."


def text_of(number):
    """A text with an address, and one thing of another kind; its kinds in the order of ``PLANTED``."""
    return TEXT.format(list(PLANTED.values())[number % len(PLANTED)]) + f" {number}"


def redacted_text_of(number):
    """The same text with labels."""
    return (
        TEXT.replace("jane.doe@corp.com", "[EMAIL]").format(f"[{list(PLANTED)[number % len(PLANTED)].upper()}]")
        + f" {number}"
    )


def assert_hidden(*paths):
    """None of what is planted is in the bytes of any of these files, or of the files in these folders."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
    assert files
    for file in files:
        content = file.read_bytes()
        for planted in PLANTED.values():
            assert planted.encode() not in content, (file, planted)
