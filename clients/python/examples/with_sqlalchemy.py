"""IDs as primary keys with SQLAlchemy 2: the key is there before the row is written, so that children can refer to it at once."""
from __future__ import annotations

import sys

from sqlalchemy import BigInteger, ForeignKey, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from snowfleet import Client


def make_models(client: Client) -> tuple[type[DeclarativeBase], type, type]:
    """Models whose keys come from the fleet."""

    class Base(DeclarativeBase):
        pass

    class Order(Base):
        __tablename__ = "orders"
        id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, default=client.next)
        customer: Mapped[str] = mapped_column(String(100))

    class Line(Base):
        __tablename__ = "lines"
        id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, default=client.next)
        order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
        what: Mapped[str] = mapped_column(String(100))

    return Base, Order, Line


def main(servers: str, url: str = "sqlite://") -> list[int]:
    """Writes an order with two lines; the IDs of the lines as they were read back."""
    with Client(servers) as client:
        base, order_model, line_model = make_models(client)
        engine = create_engine(url)
        base.metadata.create_all(engine)
        with Session(engine) as session:
            order = order_model(id=client.next(), customer="Ada")
            session.add(order)
            session.add_all([line_model(order_id=order.id, what=what) for what in ("a book", "a pen")])
            session.commit()
            return [line.id for line in session.scalars(select(line_model).where(line_model.order_id == order.id).order_by(line_model.id))]


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
