"""A page as a reader that does not see it goes through it."""

import re
from html.parser import HTMLParser

EMPTY_ELEMENTS = {"meta", "link", "br", "img", "use", "path", "input"}


class Outline(HTMLParser):
    """Tags, their attributes, headings and ids of a page; and that each element is closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.headings, self.ids, self.text = [], [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in EMPTY_ELEMENTS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY_ELEMENTS:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in EMPTY_ELEMENTS:
            assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text.append(data)


def said(page):
    """The page's text in one line."""
    return " ".join("".join(Outline(page).text).split())
