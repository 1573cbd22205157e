"""Order lives at an exchange that loses, repeats, delays, forgets and lies, by desks that die; judged by the exchange's own books.

fates      what befalls a case, drawn from seed and number · ground  an exchange of its own for each lane, and a quick clock
dialects   what each exchange trades, and in whose words
lanes      the real desk over the real session · cases  one case's lives · life  one in a process of its own
referee    the judge, in a process of its own · run  all of it
"""
