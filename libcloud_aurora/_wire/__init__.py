"""One request on its way: signed, sent, judged and sent again."""
