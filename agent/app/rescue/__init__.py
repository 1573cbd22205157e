"""Accounts brought back to health in time: what is seen, what is planned, what is done, and the daemon's watch over it.

sight         one lending account with everything a decision needs, and what makes it doubtful
elsewhere     what a bridge would bring from other chains
bringing      what is missing, brought from another chain where there is time for it
pricing       what can be paid in, and what paying it costs
acting        one move of a plan on the one road, held against its prediction
watch         the job of `fairlead run`: warn, act at the trigger, never twice, say why not
exchange      a margin account at an exchange: the least that its positions have to shrink, and that order
margin_watch  the job of `fairlead run` over it
orders        an order of a rescue at an exchange on the road of all orders
hedge         a contract sold at another exchange where nothing else helps: what it would be, what stands
hedge_keeper  that hedge in `fairlead run`: opened once, taken off again
"""
