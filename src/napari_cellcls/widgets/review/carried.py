"""Labels of another segmentation: takes them over, keeps the list of the others, and goes from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_cellcls.review.leftovers import Leftover, Leftovers, find_leftovers, is_done
from napari_cellcls.review.order import without_filters
from napari_cellcls.widgets.review.rendering import carry_words, leftover_head, leftover_line
from napari_cellcls.widgets.worker import Runner

if TYPE_CHECKING:
    from napari_cellcls.widgets.review.carried_panel import CarriedPanel
    from napari_cellcls.widgets.review.widget import ReviewWidget


class CarriedList(QObject):
    """Behind the list of labels that could not be taken over.

    Parameters
    ----------
    panel : CarriedPanel
    view : ReviewWidget
        Also the parent.
    """

    def __init__(self, panel: CarriedPanel, view: ReviewWidget) -> None:
        super().__init__(view)
        self.panel, self.view = panel, view
        self.open: list[Leftover] = []
        self._found = Leftovers()
        self._known: tuple[Any, Any, tuple[str, ...]] | None = None
        self._by_row: dict[int, list[Leftover]] = {}
        self._at: str | None = None
        self._next: str | None = None
        self._runner = Runner(self)
        self._runner.succeeded.connect(self._on_found)
        self._runner.failed.connect(view.error.show_error)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._go_on)
        panel.carry_asked.connect(self._on_carry)
        panel.picked.connect(self._on_picked)
        panel.aside_asked.connect(self._on_aside)

    @property
    def busy(self) -> bool:
        """Whether the list is being made."""
        return self._runner.running or self._soon.isActive()

    def retire(self) -> None:
        """Stop what runs."""
        self._runner.cancel()
        self._soon.stop()

    def look(self) -> None:
        """Make the list anew where cells or labels are others now."""
        desk, subject = self.view.controller.desk, self.view.controller.subject
        if desk is None or subject is None or not desk.strangers:
            self._runner.cancel()
            self._known = None
            self._on_found(Leftovers())
            return
        sheet, known = subject.sheet, self._known
        same = known is not None and known[0] is sheet.cells and known[1] is desk.journal
        if same and known is not None and known[2] == desk.strangers:
            self._refill()
            return
        self._known = sheet.cells, desk.journal, desk.strangers
        self._runner.start(
            partial(
                find_leftovers,
                desk.journal.state,
                sheet.cells,
                sheet.plane,
                frozenset(desk.strangers),
            )
        )

    def check(self, rows: Sequence[int]) -> None:
        """Take entries off the list whose cells were decided about, or put them back."""
        state, sheet = self.view.controller.state, self._sheet
        touched = {id(item): item for row in rows for item in self._by_row.get(row, ())}
        if state is None or sheet is None or not touched:
            return
        listed = {item.cell_id for item in self.open}
        if any(
            (item.cell_id in listed) == is_done(item, state, sheet) for item in touched.values()
        ):
            self._refill()

    @property
    def _sheet(self) -> Any:
        subject = self.view.controller.subject
        return subject.sheet if subject is not None else None

    def _on_found(self, found: Leftovers) -> None:
        self._found = found
        self._by_row = {}
        for item in found.items:
            for row in item.rows:
                self._by_row.setdefault(row, []).append(item)
        refusal = self.view.controller.keeper.refusal
        self.panel.offer(found.keepable if refusal is None else 0)
        self._refill()

    def _refill(self) -> None:
        controller, sheet = self.view.controller, self._sheet
        before, state, desk = self.open, controller.state, controller.desk
        self.open = []
        if state is not None and sheet is not None:
            self.open = [item for item in self._found.items if not is_done(item, state, sheet)]
        here = {item.cell_id for item in self.open}
        if self._at is not None and self._at not in here:
            self._plan_next([item.cell_id for item in before], here)
        lines = []
        if desk is not None and state is not None:
            who = desk.journal.annotator if sheet.blind else None
            lines = [leftover_line(item, state, sheet, who) for item in self.open]
        refusal = controller.keeper.refusal
        why_not = "" if refusal is None else refusal.what
        self.panel.show_lines(leftover_head(self.open), lines, self._at, why_not)

    def _plan_next(self, before: list[str], here: set[str]) -> None:
        """After the entry at hand is dealt with, go on to the next one, as after any decision."""
        at, self._at = self._at, None
        begin = before.index(at) if at in before else len(before)
        later = [one for one in (*before[begin:], *before[:begin]) if one in here]
        if later and self.view.decider.goes_on:
            self._next = later[0]
            self._soon.start()

    def _go_on(self) -> None:
        if self._next is not None:
            self.panel.choose(self._next)
            self._on_picked(self._next)
        self._next = None

    def _on_carry(self) -> None:
        self.view.attempt(self._carry)

    def _carry(self) -> None:
        from napari_cellcls.review.masks import carry_over

        project, sheet = self.view.controller.keeper.project, self._sheet
        if project is None or sheet is None:
            return
        plane = sheet.plane
        result = carry_over(
            project.journal, sheet.cells, plane.image_id, pixel_size_um=plane.pixel_size_um,
            scene=plane.scene, t=plane.t, z=plane.z,
        )  # fmt: skip
        self.view.tell(carry_words(result))

    def _on_aside(self, cell_id: str) -> None:
        desk = self.view.controller.desk
        if desk is not None:
            self._at = cell_id
            self.view.attempt(lambda: desk.set_aside(cell_id))
            self._refill()

    def _on_picked(self, cell_id: str) -> None:
        item = next((one for one in self.open if one.cell_id == cell_id), None)
        if item is not None:
            self._at = cell_id
            self.view.controller.guarded(lambda: self._go(item))

    def _go(self, item: Leftover) -> None:
        """Show an entry in the image, and select its cells in the gallery."""
        view, layers = self.view, self.view.controller.layers
        if not item.rows:
            # Nothing stays selected: a key must not decide about a cell that is out of sight.
            view.gallery.choose(None)
            view.render.show_cell(None)
            layers.frame_box(item.box)
            layers.fly_to_box(item.box)
            view.tell("There is no cell here now. Draw it, or set the entry aside.")
            return
        first, *others = item.rows
        if not all(view.gallery.tiles.index_of(row).isValid() for row in item.rows):
            view.show_view(without_filters(view.view_bar.view))
        view.gallery.choose(first, others)
        view.look_at(first)
        view.render.show_possible()
        view.tell("")
