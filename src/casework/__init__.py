"""May this be chased now, and by whom: holds, handling, tasks. It owns the people's side of a debt, never the money."""
