"""One right, some machines and a post that loses, doubles, delays and crosses whatever it carries.

Everything that decides is the product's own (`sepe.rights`); this file is the post and the ledgers. The post keeps
every message for ever and delivers any of them at any time, any number of times: that is loss (never), repetition,
delay and crossing at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from sepe.rights import NO_FENCE, Entry, Grip, Reply, asked, claimed, given_back, taken_away

HOME, AWAY, THIRD = "537104-1", "537105-1", "537106-1"
MACHINES = (HOME, AWAY, THIRD)
# Two machines meet more often than three.
WHO = (0, 1, 1, 0, 2)


@dataclass
class Machine:
    """One machine's grip and ledger. ``made``: the fences of the cards that it made, without any forced one."""

    name: str
    grip: Grip
    wants: bool = False
    made: list[int] = field(default_factory=list)

    @property
    def is_bound(self) -> bool:
        return bool(self.made) or (self.wants and self.grip.fence is not None)

    def print(self) -> None:
        if self.wants and not self.made and self.grip.fence is not None:
            self.made.append(self.grip.fence)


@dataclass
class World:
    """The hub's entry, the machines and every message that was ever sent."""

    entry: Entry = field(default_factory=lambda: Entry(HOME, 0))
    printed: bool = False
    post: list[tuple[str, str, int]] = field(default_factory=list)
    machines: dict[str, Machine] = field(
        default_factory=lambda: {name: Machine(name, Grip(0 if name == HOME else NO_FENCE)) for name in MACHINES}
    )

    def claim(self, name: str, above: int) -> None:
        """A claim reaches the hub; its answer and its question go to the post."""
        if self.printed:
            self.post.append(("elsewhere", name, 0))
            return
        found = claimed(self.entry, name, above=above)
        if found is None:
            self.post.append(("let_go", self.entry.holder, self.entry.fence))
            return
        self.entry = found
        self.post.append(("granted", name, found.fence))

    def deliver(self, number: int) -> None:
        if not self.post:
            return
        kind, name, fence = self.post[-1 - number % len(self.post)]
        machine = self.machines[name] if name else None
        if kind == "claim":
            self.claim(name, fence)
        elif kind == "return":
            self.entry = given_back(self.entry, name, fence) or self.entry
        elif kind == "report":
            self.printed = True
        elif kind == "granted" and machine is not None:
            machine.grip = machine.grip.granted(fence)
        elif kind == "elsewhere" and machine is not None:
            machine.wants = bool(machine.made)
        elif kind == "let_go" and machine is not None:
            machine.grip, reply = asked(machine.grip, fence, is_bound=machine.is_bound)
            if reply is Reply.GIVE_BACK:
                self.post.append(("return", name, fence))

    def act(self, action: tuple[str, int]) -> None:
        kind, number = action
        machine = self.machines[MACHINES[WHO[number % len(WHO)]]]
        if kind == "ask" and machine.wants and machine.grip.fence is None:
            self.post.append(("claim", machine.name, machine.grip.above))
        elif kind == "print":
            machine.wants = True
            machine.print()
            if machine.made:
                self.post.append(("report", machine.name, machine.made[0]))
        elif kind == "give_up" and not machine.made:
            machine.wants = False
        elif kind == "deliver":
            self.deliver(number)
        elif kind == "talk":
            # A claim and what follows from it, each message at once, cut off somewhere.
            machine.wants = True
            self.act(("ask", number))
            for _ in range(number % 7):
                self.deliver(0)
        elif kind == "decide":
            self.entry = taken_away(self.entry)

    @property
    def cards(self) -> list[int]:
        return [fence for machine in self.machines.values() for fence in machine.made]

    def may_print(self) -> list[Machine]:
        return [one for one in self.machines.values() if one.grip.fence is not None]


ORDINARY = ("ask", "talk", "print", "give_up", "deliver")
numbers = st.integers(0, 20)
histories = st.lists(st.tuples(st.sampled_from(ORDINARY), numbers), max_size=60)
decided = st.lists(st.tuples(st.sampled_from((*ORDINARY, "decide")), numbers), max_size=60)


@settings(max_examples=400)
@given(histories)
def test_at_most_one_machine_may_print_and_at_most_one_card_is_made(history: list[tuple[str, int]]) -> None:
    world = World()
    for action in history:
        world.act(action)
        assert len(world.may_print()) <= 1, world
        assert len(world.cards) <= 1, world


@settings(max_examples=400)
@given(decided)
def test_after_officers_decisions_no_two_cards_share_a_fence_so_one_of_them_is_valid(
    history: list[tuple[str, int]],
) -> None:
    world = World()
    for action in history:
        world.act(action)
        fences = [machine.grip.fence for machine in world.may_print()]
        assert len(set(fences)) == len(fences), world
        assert len(set(world.cards)) == len(world.cards), world


@given(histories)
def test_when_the_post_works_again_whoever_waits_gets_the_right_or_hears_where_it_was_printed(
    history: list[tuple[str, int]],
) -> None:
    world = World()
    for action in history:
        world.act(action)
    for machine in world.machines.values():
        if machine.wants and not machine.made and machine.name != AWAY:
            machine.wants = False  # All but one lose patience; that one must not wait for ever.
    world.machines[AWAY].wants = True
    for _ in range(4):
        world.act(("ask", 1))
        for machine in world.machines.values():
            machine.print()
            world.post += [("report", machine.name, fence) for fence in machine.made]
        for number in range(len(world.post)):
            world.deliver(number)  # The latest first, and what they cause.
            world.deliver(0)
    away = world.machines[AWAY]
    assert away.made or (world.printed and not away.wants), world
