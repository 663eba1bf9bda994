"""What the law and the trade say, as data and pure functions over it: nothing here touches the database."""
